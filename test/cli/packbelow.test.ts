/** What `--pack-below` takes: a length for user tables, and one for each table that is named. */
import { expect, test } from 'vitest'
import { collectPackBelow, type PackBelow, packingOptions } from '../../src/cli/options.ts'
import { ltap } from './streams.ts'

function given(...values: string[]): ReturnType<typeof packingOptions> {
  return packingOptions({ packBelow: values.reduce<PackBelow[]>((previous, value) => collectPackBelow(value, previous), []) })
}

test('lengths and tables', () => {
  expect(given()).toEqual({})
  expect(given('64')).toEqual({ below: 64 })
  expect(given('64', 'public.orders=16', 'public."a=b"=0', '8')).toEqual({
    below: 8, tables: [{ table: 'public.orders', below: 16 }, { table: 'public."a=b"', below: 0 }],
  })
})

test.each(['', '1025', 'x', 'orders', 'public.orders=', 'public.orders=2000', '=5', 'orders=5'])('%j is a usage error', async (value) => {
  const { code, stderr } = await ltap(['transcode', '/nonexistent', '--lake', '/nonexistent/lake', `--pack-below=${value}`])
  expect([code, stderr]).toEqual([2, expect.stringContaining('--pack-below')])
})
