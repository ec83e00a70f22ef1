"""The page in a real Chromium: how soon one can type, how much script that takes, and how 5,000 messages scroll."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from playwright.async_api import Browser, Page, async_playwright

from benchmarks.history import HistoryPages, _post
from benchmarks.live import SERVER_CORE, Live, free_to_run, serving
from benchmarks.rows import Row
from chatcore.settings import Settings
from chatcore.web.files import read_page, script_bytes
from chatcore.web.libraries import install

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS: Final = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
MESSAGES: Final = 5_000
INTERACTIVE_MS, SCRIPT_KB = 1_000, 200
READER: Final = "reader"
Say = Callable[[str], None]

# From the start of the navigation until the page has drawn its form, heard by scripts, and put the cursor into it.
FIELD_IS_READY: Final = """async () => {
  while (document.activeElement?.name !== "name") await new Promise((resolve) => setTimeout(resolve, 5));
  return performance.now();
}"""
# Half a screen a frame, up through what is there and what is fetched meanwhile; milliseconds between frames.
SCROLLS: Final = """async () => {
  const box = document.querySelector(".virtual");
  const frames = [];
  let before = performance.now();
  for (let count = 0; count < 240; count += 1) {
    box.dispatchEvent(new WheelEvent("wheel"));
    box.scrollTop -= 300;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - before);
    before = now;
  }
  frames.sort((one, other) => one - other);
  return { p95: frames[Math.floor(frames.length * 0.95)], rows: document.querySelectorAll(".virtual-row").length };
}"""


class PageInChromium:
    def __init__(self) -> None:
        where = f"server on core {SERVER_CORE}; Chromium on all"
        self.interactive = Row(
            "the page takes what one types, with nothing cached", "ms", "less", where, INTERACTIVE_MS
        )
        self.script = Row("script of the page, compressed", "KB", "less", "", SCRIPT_KB)
        self.frames = Row(f"between frames while scrolling {MESSAGES:,} messages, p95", "ms", "less", where)
        self.shown = Row("rows in the document after that", "rows", "less", where, 80)
        self.rows = [self.interactive, self.script, self.frames, self.shown]

    def measure(self, home: Path, repetitions: int, say: Say) -> None:
        libraries = Settings(_env_file=None).web_libraries
        install(libraries)
        self.script.samples.append(script_bytes(read_page(libraries, {})) / 1_000)
        with serving(home, {"AI": "off"}) as live:
            token = _post(live.url, "/api/auth/dev-token", {"name": READER})["token"]
            group_id = _post(live.url, "/api/groups", {"name": "long log"}, token)["_id"]
        with free_to_run():
            asyncio.run(HistoryPages(MESSAGES).fill(home, group_id, say))
        with serving(home, {"AI": "off"}) as live, free_to_run():
            asyncio.run(self._look(live, group_id, repetitions, say))

    async def _look(self, live: Live, group_id: str, repetitions: int, say: Say) -> None:
        path = next((found for name in NAMES if (found := shutil.which(name))), None)
        if path is None:
            raise RuntimeError("there is no Chromium here; on Debian: apt-get install chromium")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
            for repetition in range(repetitions):
                say(f"the page, {repetition + 1} of {repetitions}")
                await self._once(browser, live, group_id)
            await browser.close()

    async def _once(self, browser: Browser, live: Live, group_id: str) -> None:
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        page = await context.new_page()
        await page.goto(live.url, wait_until="commit")
        self.interactive.samples.append(await page.evaluate(FIELD_IS_READY))
        await _open(page, group_id)
        found = await page.evaluate(SCROLLS)
        self.frames.samples.append(found["p95"])
        self.shown.samples.append(found["rows"])
        await context.close()


async def _open(page: Page, group_id: str) -> None:
    await page.get_by_label("Your name").fill(READER)
    await page.get_by_role("button", name="Sign in", exact=True).click()
    await page.locator(f'a[href="#/g/{group_id}"]').click()
    await page.locator("article.message").first.wait_for()
