// The report's style sheet: one accent, light and dark, wide and narrow.

export const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --page: #fbfaf7; --card: #ffffff; --ink: #1d1f23; --soft: #62676f; --line: #e3e1da;
  --accent: #0b7a5f; --second: #c2571a; --quiet: #d3d0c7; --late: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --card: #1c1f24; --ink: #e8e6e1; --soft: #9aa0a8; --line: #31353c;
    --accent: #4cc9a4; --second: #f0995b; --quiet: #3f444c; --late: #ff8a80;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
main { max-width: 880px; margin: 0 auto; padding: 40px 20px 72px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 44px 0 6px; }
p { margin: 6px 0 14px; max-width: 68ch; }
.soft, .note { color: var(--soft); }
.note { font-size: 14px; }
code, pre { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-size: 0.88em; overflow-wrap: anywhere; }
pre {
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; margin: 10px 0;
  padding: 14px 16px; font-size: 13.5px; line-height: 1.5; overflow-x: auto;
}
pre.sample { white-space: pre-wrap; overflow-wrap: anywhere; }
.numbers {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 1px;
  background: var(--line); border: 1px solid var(--line); border-radius: 10px;
  overflow: hidden; margin: 26px 0 8px;
}
.numbers div { background: var(--card); padding: 14px 16px; }
.numbers b {
  display: block; font-size: 24px; line-height: 1.25; font-weight: 640; white-space: nowrap;
}
.numbers b.lead { color: var(--accent); }
.numbers span { color: var(--soft); font-size: 13.5px; }
figure { margin: 14px 0 0; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--soft); }
.narrow { display: none; }
.grid { stroke: var(--line); stroke-width: 1; }
.axis { stroke: var(--quiet); stroke-width: 1; }
polyline { fill: none; stroke-linejoin: round; }
.train-line { stroke: var(--accent); stroke-width: 1.6; }
.validation-line { stroke: var(--second); stroke-width: 1.4; }
.validation-dot { fill: var(--second); }
.final-mark { fill: var(--second); stroke: var(--card); stroke-width: 1.5; }
svg text.final-label { fill: var(--second); font-weight: 650; font-size: 13px; }
.ours { fill: var(--accent); }
.theirs { fill: var(--quiet); }
.round-bar { fill: var(--accent); opacity: 0.75; }
.round-empty { fill: var(--quiet); }
.late-dot { fill: var(--late); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 14px; color: var(--soft); }
.legend i {
  display: inline-block; width: 14px; height: 10px; border-radius: 2px; margin-right: 7px;
}
.legend i.line { height: 3px; vertical-align: 3px; }
.legend i.dot { width: 8px; height: 8px; border-radius: 50%; }
table { border-collapse: collapse; width: 100%; font-size: 15px; margin-top: 10px; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 13.5px; }
th, td { padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td code { white-space: nowrap; }
td.bar { width: 34%; vertical-align: middle; }
td.bar i {
  display: block; height: 10px; border-radius: 2px; background: var(--accent); min-width: 2px;
}
.scroll { overflow-x: auto; }
dl {
  display: grid; grid-template-columns: minmax(130px, max-content) 1fr; gap: 4px 22px;
  font-size: 15px;
}
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
footer { margin-top: 56px; color: var(--soft); font-size: 13.5px; }
@media (max-width: 620px) {
  main { padding: 26px 16px 56px; }
  h1 { font-size: 25px; }
  .wide { display: none; }
  .narrow { display: block; }
  .numbers { grid-template-columns: 1fr 1fr; }
  .numbers div:first-child { grid-column: 1 / -1; }
  .optional { display: none; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 8px; }
}
@media print { body { background: #fff; } pre { white-space: pre-wrap; } }
`;
