/** The style sheet of the page: colors of their own for light and for dark. Nothing in a page has a style attribute. */
export const STYLE = `
:root { color-scheme: light dark; --page: #ffffff; --text: #1d232a; --faint: #5c6773; --line: #d5dae0; --a: #2f6fb3; --b: #d9822b; --c: #a23b72;
  --back: #e8ecf0 }
@media (prefers-color-scheme: dark) {
  :root { --page: #14181d; --text: #e4e8ec; --faint: #9aa5b1; --line: #38414b; --a: #6aa9e9; --b: #f0a35e; --c: #dd7bb0; --back: #252c34 }
}
body { margin: 0 auto; max-width: 62rem; padding: 1rem 1.5rem 4rem; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 1rem 0 .5rem; overflow-wrap: anywhere }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .25rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem }
h3 { font-size: 1rem; margin: 1.25rem 0 0; overflow-wrap: anywhere }
p { margin: .25rem 0 .75rem; color: var(--faint); max-width: 52rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1.25rem; margin: .5rem 0 }
dt { color: var(--faint) }
dd { margin: 0; overflow-wrap: anywhere }
ul { padding-left: 1.25rem; overflow-wrap: anywhere }
.wrong { color: var(--c) }
svg { display: block; width: 100%; height: auto }
svg text { fill: var(--text); font: 12px system-ui, sans-serif }
svg .faint { fill: var(--faint) }
svg .end { text-anchor: end }
svg .middle { text-anchor: middle }
svg line { stroke: var(--line) }
.a { fill: var(--a) } .b { fill: var(--b) } .c { fill: var(--c) } .back { fill: var(--back) }
circle { fill-opacity: .75 }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .35em 0 1em; border-radius: 2px }
.key.a { background: var(--a) } .key.b { background: var(--b) } .key.c { background: var(--c) }
.key.back { background: var(--back) }
`
