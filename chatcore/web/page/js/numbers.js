/** From two looks at the server's counters to what happened between them. */

const MIB = 1024 * 1024;

/** @param {{at: string, process: number, version: string, series: Record<string, {labels: object, value: number}[]>}} before */
export function reading(before, now) {
  const seconds = Math.max(0.001, (Date.parse(now.at) - Date.parse(before.at)) / 1000);
  const grown = (name, fits) => sum(now, name, fits) - sum(before, name, fits);
  const isSend = ({ event }) => event === "send_message" || (event?.startsWith("POST") && event.endsWith("/messages"));
  return {
    at: Date.parse(now.at),
    process: now.process,
    version: now.version,
    sends: grown("commands_total", (labels) => isSend(labels) && labels.code === "ok") / seconds,
    commands: grown("commands_total") / seconds,
    refused: (grown("commands_total", ({ code }) => code !== "ok") / seconds) * 60,
    connections: sum(now, "connections"),
    rss: sum(now, "rss_bytes") / MIB,
    commitP95: quantile(before, now, "commit_seconds", 0.95) * 1000,
    lag: mean(before, now, "loop_lag_seconds") * 1000,
    aiCalls: (grown("ai_calls_total") / seconds) * 60,
  };
}

function sum(look, name, fits = () => true) {
  return (look.series[name] ?? []).reduce((total, sample) => (fits(sample.labels) ? total + sample.value : total), 0);
}

function mean(before, now, name) {
  const count = sum(now, `${name}_count`) - sum(before, `${name}_count`);
  return count > 0 ? (sum(now, `${name}_sum`) - sum(before, `${name}_sum`)) / count : 0;
}

/** From the buckets of a histogram, linear within the bucket; 0 where nothing happened. */
export function quantile(before, now, name, share) {
  const bounds = (now.series[`${name}_bucket`] ?? []).map(({ labels, value }) => {
    const was = before.series[`${name}_bucket`]?.find((sample) => sample.labels.le === labels.le)?.value ?? 0;
    return { upTo: labels.le === "+Inf" ? Infinity : Number(labels.le), count: value - was };
  });
  const all = bounds.at(-1)?.count ?? 0;
  if (all <= 0) return 0;
  const wanted = all * share;
  let [from, below] = [0, 0];
  for (const { upTo, count } of bounds) {
    if (count >= wanted) return upTo === Infinity ? from : from + ((upTo - from) * (wanted - below)) / Math.max(1e-9, count - below);
    [from, below] = [upTo, count];
  }
  return from;
}
