/** Pictures and files of messages. They need the token, so they are fetched and shown as blobs. */
import { restBlob } from "../api.js";
import { html, useEffect, useSignal } from "../lib.js";
import { tried } from "../store/notices.js";
import { fileSize } from "../text.js";
import { Dialog, Icon, Spinner } from "./parts.js";

const KEPT = 60;
/** URL of ours -> promise of a blob URL; the oldest are let go. */
const pictures = new Map();

function picture(url) {
  let known = pictures.get(url);
  if (!known) {
    known = restBlob(url).then((blob) => URL.createObjectURL(blob));
    pictures.set(url, known);
    known.catch(() => pictures.delete(url));
    if (pictures.size > KEPT) {
      const [oldest, blobUrl] = pictures.entries().next().value;
      pictures.delete(oldest);
      void blobUrl.then((one) => URL.revokeObjectURL(one), () => {});
    }
  }
  return known;
}

export function Media({ message }) {
  return message.type === "image" ? html`<${Picture} message=${message} />` : html`<${FileCard} message=${message} />`;
}

function Picture({ message }) {
  const source = useSignal(message.localUrl ?? "");
  const failed = useSignal(false);
  const open = useSignal(false);
  const { width, height, originalFilename = "Picture", thumbnailUrl } = message.mediaMetadata ?? {};
  useEffect(() => {
    if (message.localUrl) return;
    picture(thumbnailUrl ?? message.mediaUrl).then((url) => { source.value = url; }, () => { failed.value = true; });
  }, [message.mediaUrl]);
  if (failed.value) return html`<${FileCard} message=${message} />`;
  const [w, h] = fit(width ?? 320, height ?? 200);
  return html`
    <button type="button" class="picture" style=${{ width: `${w}px`, aspectRatio: `${w} / ${h}` }} aria-label=${`Open the picture ${originalFilename}`} onClick=${() => { open.value = true; }}>
      ${source.value ? html`<img src=${source.value} alt=${message.content || originalFilename} />` : html`<${Spinner} label="Loading a picture" />`}
    </button>
    ${open.value && html`<${Large} message=${message} name=${originalFilename} onClose=${() => { open.value = false; }} />`}`;
}

/** Never larger than 360 by 280, nor larger than it is. */
function fit(width, height) {
  const share = Math.min(1, 360 / width, 280 / height);
  return [Math.max(60, Math.round(width * share)), Math.max(40, Math.round(height * share))];
}

function Large({ message, name, onClose }) {
  const source = useSignal("");
  useEffect(() => { picture(message.mediaUrl).then((url) => { source.value = url; }, () => onClose()); }, []);
  return html`<${Dialog} title=${name} wide onClose=${onClose}>
    <div class="large">${source.value ? html`<img src=${source.value} alt=${message.content || name} />` : html`<${Spinner} />`}</div>
    <footer class="dialog-actions"><button type="button" class="button" onClick=${() => tried(save(message))}><${Icon} name="download" size=${17} />Download</button></footer>
  </${Dialog}>`;
}

function FileCard({ message }) {
  const { originalFilename = "File", size = 0 } = message.mediaMetadata ?? {};
  return html`<button type="button" class="file-card" onClick=${() => tried(save(message))} aria-label=${`Download ${originalFilename}`}>
    <span class="file-icon"><${Icon} name="file" size=${22} /></span>
    <span class="file-words"><b>${originalFilename}</b><small>${fileSize(size)}</small></span>
    <${Icon} name="download" size=${18} /></button>`;
}

async function save(message) {
  const url = URL.createObjectURL(await restBlob(message.mediaUrl));
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = message.mediaMetadata?.originalFilename ?? "file";
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
