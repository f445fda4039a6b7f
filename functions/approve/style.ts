import { createHash } from 'node:crypto'

/** For a phone first, in light and dark. */
export const style = `
:root { color-scheme: light dark; --page: #f4f6f8; --card: #fff; --line: #dde3ea; --text: #16202c; --quiet: #55637a;
  --accent: #0b5cad; --on-accent: #fff; --bad: #b42318; --held: #8a5a00;
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif }
@media (prefers-color-scheme: dark) { :root { --page: #0f151c; --card: #171f29; --line: #2b3745; --text: #e4eaf1;
  --quiet: #9fadbf; --accent: #6db3f5; --on-accent: #0b1520; --bad: #f5877d; --held: #e3b04b } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text) }
main { max-width: 46rem; margin: 0 auto; padding: 1rem 1rem 3rem }
h1 { font-size: 1.4rem; line-height: 1.25; margin: .5rem 0 1rem; overflow-wrap: anywhere }
h2 { font-size: 1.05rem; margin: 0 0 .5rem }
section, .notice { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem;
  margin: 0 0 1rem; overflow-wrap: anywhere }
.notice { border-left: 5px solid var(--held) }
.danger { background: var(--card); border: 1px solid var(--bad); border-left-width: 5px; border-radius: 10px; padding: 1rem;
  margin: 0 0 1rem }
.bad, .danger strong { color: var(--bad) }
.changes > li { margin-bottom: .5rem }
.quiet { color: var(--quiet) }
.small { font-size: .875rem }
dl { display: grid; grid-template-columns: minmax(6rem, auto) 1fr; gap: .35rem 1rem; margin: 0 }
dt { color: var(--quiet) }
dd { margin: 0 }
ul { margin: 0; padding-left: 1.2rem }
pre { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font: .875rem/1.5 ui-monospace, Menlo, Consolas, monospace }
label { display: block; margin-bottom: .75rem }
input { display: block; width: 100%; margin-top: .25rem; padding: .6rem; font: inherit; color: inherit;
  background: var(--page); border: 1px solid var(--quiet); border-radius: 8px }
.buttons { display: flex; flex-wrap: wrap; gap: .75rem }
button { flex: 1 1 9rem; min-height: 2.9rem; font: inherit; font-weight: 600; border-radius: 8px; cursor: pointer;
  border: 2px solid var(--accent); background: var(--accent); color: var(--on-accent) }
button.deny { background: transparent; border-color: var(--bad); color: var(--bad) }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
`

/** The only style that the page may have. */
export const styleSource = `'sha256-${createHash('sha256').update(style).digest('base64')}'`
