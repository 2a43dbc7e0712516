/** The page of `ltap inspect lake --html` in Chromium, where it is installed (LTAP_CHROMIUM names it): hostile names run nothing, and it is drawn in light and in dark. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'
import { afterAll, describe, expect, test } from 'vitest'
import { lakePage } from '../../src/cli/lakepage/lakepage.ts'
import { hostileLake } from '../support/hostilelake.ts'

const CHROMIUM = process.env['LTAP_CHROMIUM'] ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path))
if (CHROMIUM === undefined) console.warn('SKIPPED: the page of inspect lake in a browser, because no Chromium is installed (LTAP_CHROMIUM)')

const folder = mkdtempSync(join(tmpdir(), 'ltap-page-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync', '--hide-scrollbars']

function chromium(page: string, ...flags: string[]): string {
  const path = join(folder, 'page.html')
  writeFileSync(path, page)
  const ran = spawnSync(CHROMIUM!, [...FLAGS, `--user-data-dir=${join(folder, 'profile')}`, ...flags, `file://${path}`], { encoding: 'utf8', cwd: folder })
  if (ran.status !== 0) throw new Error(ran.stderr)
  return ran.stdout
}

function titleOf(page: string): string {
  return /<title>([^<]*)<\/title>/.exec(chromium(page, '--virtual-time-budget=2000', '--dump-dom'))![1]!
}

/** Color of the pixel in the corner, and how many colors there are. PNG: 8 bits for each of three or four channels, one filter byte before each row. */
function colorsOf(png: Buffer): { corner: number[]; colors: number } {
  const width = png.readUInt32BE(16)
  const channels = png[25] === 6 ? 4 : 3
  const pieces: Buffer[] = []
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') pieces.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)))
  }
  const raw = inflateSync(Buffer.concat(pieces))
  const rowLength = width * channels
  const rows: Buffer[] = []
  for (let at = 0; at < raw.length; at += 1 + rowLength) rows.push(unfiltered(raw[at]!, raw.subarray(at + 1, at + 1 + rowLength), rows.at(-1), channels))
  const colors = new Set<string>()
  for (const row of rows) for (let x = 0; x < rowLength; x += channels) colors.add(row.toString('hex', x, x + 3))
  return { corner: [...rows[0]!.subarray(0, 3)], colors: colors.size }
}

/** PNG's filters 0 to 4: none, sub, up, average, Paeth. */
function unfiltered(filter: number, row: Buffer, before: Buffer | undefined, channels: number): Buffer {
  const out = Buffer.alloc(row.length)
  for (let i = 0; i < row.length; i++) {
    const [a, b, c] = [i < channels ? 0 : out[i - channels]!, before?.[i] ?? 0, i < channels ? 0 : before?.[i - channels] ?? 0]
    const paeth = [a, b, c].sort((x, y) => Math.abs(a + b - c - x) - Math.abs(a + b - c - y))[0]!
    out[i] = row[i]! + [0, a, b, (a + b) >> 1, paeth][filter]!
  }
  return out
}

describe.runIf(CHROMIUM !== undefined)('in Chromium', () => {
  const page = lakePage(hostileLake())

  test('no name runs, and the page is whole', () => {
    const dom = chromium(page, '--virtual-time-budget=2000', '--dump-dom')
    expect(/<title>([^<]*)<\/title>/.exec(dom)![1]).toBe('ltap: s3://bucket/&lt;script&gt;document.title="run"&lt;/script&gt;')
    expect(dom).not.toMatch(/<(?:script|img|b|iframe|a)[\s>]/)
    expect(dom.match(/<svg /g)).toHaveLength(4 + 1 + 7)
  })

  test('planted: names that are not escaped change the page, and what runs is stopped by its policy alone', () => {
    const open = page.replaceAll('&#60;', '<').replaceAll('&#62;', '>').replaceAll('&#34;', '"')
    expect(titleOf(open)).not.toBe('run')
    expect(titleOf(open.replace(/<meta http-equiv[^>]*>/, ''))).toBe('run')
  })

  test('is drawn in light and in dark', () => {
    const shot = (scheme: number): ReturnType<typeof colorsOf> => {
      const path = join(folder, `${scheme}.png`)
      chromium(page, '--window-size=1000,1500', `--blink-settings=preferredColorScheme=${scheme}`, `--screenshot=${path}`)
      return colorsOf(readFileSync(path))
    }
    const [dark, light] = [shot(0), shot(1)]
    expect(light.corner).toEqual([255, 255, 255])
    expect(dark.corner).toEqual([0x14, 0x18, 0x1d])
    for (const { colors } of [dark, light]) expect(colors).toBeGreaterThan(50)
  })
})
