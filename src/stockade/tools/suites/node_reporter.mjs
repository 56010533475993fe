// A reporter for `node --test`; what it says is read by events.py.
import { isAbsolute, relative } from "node:path";
import { fileURLToPath } from "node:url";

function place(stack) {
  for (const [, file, line] of String(stack).matchAll(/\(?(\S+):(\d+):\d+\)?$/gm)) {
    const path = file.replace(/^\(/, "");
    if (path.startsWith("node:")) continue;
    return [path.startsWith("file:") ? fileURLToPath(path) : path, Number(line)];
  }
  return null;
}

export default async function* report(events) {
  for await (const { type, data } of events) {
    if (type !== "test:pass" && type !== "test:fail") continue;
    const error = data.details?.error;
    // A suite, or a file as a whole, fails with what is in it.
    if (data.details?.type === "suite") continue;
    if (error?.failureType === "subtestsFailed") continue;
    const cause = error?.cause ?? error;
    const [file, line] = place(cause?.stack) ?? [data.file ?? "", data.line ?? 0];
    const outcome = type === "test:fail" ? "failed"
      : data.skip !== undefined || data.todo !== undefined ? "skipped" : "passed";
    yield JSON.stringify({
      outcome,
      test: isAbsolute(data.name) ? relative(process.cwd(), data.name) : data.name,
      file: file ? relative(process.cwd(), file) : "",
      line,
      message: outcome === "failed" ? String(cause?.message ?? cause).slice(0, 4000) : "",
    }) + "\n";
  }
}
