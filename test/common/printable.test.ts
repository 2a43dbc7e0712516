import { expect, test } from 'vitest'
import { printable, printableLines } from '../../src/common/printable.ts'

test('what a terminal obeys, hides or reorders is an escape', () => {
  const odd: [string, string][] = [
    ['\x1b[2J\x1b]0;title\x07', '\\x1b[2J\\x1b]0;title\\x07'], ['\u009b31m', '\\x9b31m'], ['a\nb\r\tc\0\x7f', 'a\\nb\\r\\tc\\x00\\x7f'],
    ['\u202egpj.exe\u2066\u2069\u200e\u061c', '\\u202egpj.exe\\u2066\\u2069\\u200e\\u061c'], ['a\u2028b\u2029', 'a\\u2028b\\u2029'],
    ['\ufeff\u200b\u{e0041}', '\\ufeff\\u200b\\u{e0041}'], ['\ud800x', '\\ud800x'],
  ]
  for (const [text, shown] of odd) expect(printable(text)).toBe(shown)
})

test('text of any script stays', () => {
  for (const text of ['größe', 'таблица', 'テーブル', 'می\u200cخواهم', '👨\u200d👩\u200d👧', '😀', 'a b', '"\\\'']) expect(printable(text)).toBe(text)
  expect(printableLines('a\tb\nc\x1b')).toBe('a\tb\nc\\x1b')
})
