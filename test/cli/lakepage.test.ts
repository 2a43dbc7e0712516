/** The page of `ltap inspect lake --html`: whatever names a lake has, it is text, and nothing in the page asks for anything. test/conformance/lakepage looks at it in a browser. */
import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { lakePage } from '../../src/cli/lakepage/lakepage.ts'
import { HOSTILE_NAMES, hostileLake } from '../support/hostilelake.ts'

const page = lakePage(hostileLake())

/** Elements of the page that no template of ltap has. */
function foreignElements(html: string): string[] {
  const known = new Set([
    'html', 'head', 'meta', 'title', 'style', 'body', 'h1', 'h2', 'h3', 'p', 'dl', 'dt', 'dd', 'ul', 'li', 'code', 'span', 'svg', 'g', 'text', 'rect', 'circle', 'line',
  ])
  return [...html.matchAll(/<\/?([a-z!][^\s>/]*)/gi)].map(([, name]) => name!).filter((name) => !known.has(name) && !/^!(?:doctype|--)$/i.test(name))
}

describe('a page of a lake with hostile names', () => {
  test('has no element but its own, no style attribute, no handler, no address', () => {
    expect(foreignElements(page)).toEqual([])
    const tags = page.match(/<[a-z][^>]*>/gi)!
    expect(tags.filter((tag) => /\s(?:style|on\w+|href|src|srcdoc|action)\s*=/i.test(tag.replaceAll(/"[^"]*"/g, '""')))).toEqual([])
    expect(tags.filter((tag) => (tag.match(/"/g)?.length ?? 0) % 2 === 1)).toEqual([])
    expect(page).not.toMatch(/https?:|@import|url\(/)
  })

  test('shows each name, its controls spelt out', () => {
    const shown = page.replaceAll(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
    for (const name of HOSTILE_NAMES) expect(shown).toContain(name.replace('\u202e', '\\u202e').replace('\0', '\\x00'))
    expect(page).not.toContain('\u202e')
  })

  test('allows the style that it has, and nothing else', () => {
    const style = /<style>([^]*?)<\/style>/.exec(page)![1]!
    const hash = createHash('sha256').update(style).digest('base64')
    const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)![1]!.replaceAll('&#39;', "'")
    expect(policy).toBe(`default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'`)
  })

  test('says what is not known', () => {
    expect(page).toContain('not recorded')
    expect(page).toContain('(merge)')
    expect(page).toMatch(/Not known of 1 table: pages in packs/)
  })

  test('planted: a name that is not escaped is found', () => {
    expect(foreignElements(page.replaceAll('&#60;', '<').replaceAll('&#62;', '>'))).toContain('script')
  })
})

test('a lake without tables and states has a page, too', () => {
  const empty = lakePage({ ...hostileLake(), tables: [], states: [], tags: [] })
  expect(foreignElements(empty)).toEqual([])
  expect(empty).not.toMatch(/NaN|undefined|Infinity/)
  expect(page).not.toMatch(/NaN|undefined|Infinity/)
})
