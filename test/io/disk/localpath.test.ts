import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { refuseAround, refuseInside } from '../../../src/io/disk/localpath.ts'
import { replayCluster } from '../../../src/jobs/replay/replaycluster.ts'

test('what is made lies outside of what is read, links or not', async () => {
  const root = mkdtempSync(join(tmpdir(), 'ltap-inside-'))
  try {
    const data = join(root, 'data')
    mkdirSync(join(data, 'base'), { recursive: true })
    symlinkSync(data, join(root, 'link'))
    symlinkSync(join(data, 'base'), join(root, 'deep'))
    for (const inside of ['data/lake', 'data/base', 'data/a/b', 'link/lake', 'deep', 'deep/lake']) {
      expect(() => refuseInside(join(root, inside), data), inside).toThrow(/path.inside: the folder lies inside .*data, which is read; name one outside of it/)
    }
    for (const outside of ['lake', 'data2', 'data.lake/x', '.']) expect(() => refuseInside(join(root, outside), data), outside).not.toThrow()
    expect(() => refuseInside(join(root, 'lake'), join(root, 'missing'))).not.toThrow()
    for (const around of ['.', 'link/..']) expect(() => refuseAround(join(root, around), data), around).toThrow(/path.inside: .*data, which is read, lies inside the folder/)
    for (const beside of ['data', 'link', 'other', 'data/base']) expect(() => refuseAround(join(root, beside), data), beside).not.toThrow()
    await expect(replayCluster({ source: data, out: join(data, 'out') })).rejects.toThrow(/path.inside/)
  } finally {
    rmSync(root, { recursive: true })
  }
})
