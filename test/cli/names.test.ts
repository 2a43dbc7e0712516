/** Names that drive a terminal, break a line or show as other names, through every verb. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { transcode, withFolder } from '../support/lakes.ts'
import { NewestState } from '../support/layeredlake.ts'
import { closeSessions, majors, withCluster } from '../support/oracle.ts'
import { type Ran, ltap } from './streams.ts'

const ESC = 'esc\x1b]0;owned\x07\x1b[2J'
const NEWLINE = 'line\nltap: equal\r'
const BIDI = 'bidi\u202egnp.\u2066x\u200f'
const C1 = 'c1\u009b31m\u0085'
const NAMES = [ESC, NEWLINE, BIDI, C1]
const quoted = (name: string): string => `"${name}"`

/** Characters that no output for people may have; line ends are judged by what the lines say. */
const FORBIDDEN = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/

test('no verb lets a name reach the terminal', async () => {
  await withFolder((folder) => withCluster(majors().at(-1)!, {}, async (cluster, sql) => {
    for (const name of NAMES) {
      await sql.exec(`CREATE SCHEMA ${quoted(name)}; CREATE TABLE ${quoted(name)}.${quoted(name)} (${quoted(name)} text);
        INSERT INTO ${quoted(name)}.${quoted(name)} VALUES ('v')`)
      await sql.exec(`SELECT pg_logical_emit_message(false, '${name}', 'x'), pg_create_restore_point('${name}')`)
    }
    await closeSessions(cluster)
    await cluster.stop()
    const lake = join(folder, 'lake')
    const { dataDir } = cluster
    const table = `${quoted(ESC)}.${quoted(ESC)}`

    expect(shown(await ltap(['transcode', dataDir, '--lake', lake])).code).toBe(0)
    const state = await NewestState.read(lake)
    for (const name of NAMES) expect((await state.description(state.relation(name))).desc.attributes.map((column) => column.name)).toEqual([name])
    const old = join(folder, 'old')
    const { relations: oldRelations } = await transcode(dataDir, old, { filter: { databases: ['postgres'], tables: [] } })
    for (const name of NAMES) expect(oldRelations.filter((relation) => relation.name === name && relation.columns[0] === name)).toHaveLength(1)
    for (const line of readFileSync(join(old, 'views.sql'), 'utf8').split('\n').filter((text) => text.startsWith('--'))) expect(line).not.toMatch(FORBIDDEN)

    const relations = shown(await ltap(['inspect', 'relations', dataDir]))
    expect(relations.stdout).toContain('esc\\x1b]0;owned\\x07\\x1b[2J')
    expect(relations.stdout).toContain('line\\nltap: equal\\r')
    expect(relations.stdout).toContain('bidi\\u202egnp.\\u2066x\\u200f')
    expect(relations.stdout).toContain('c1\\x9b31m\\x85')
    const listed = JSON.parse((await ltap(['inspect', 'relations', dataDir, '--json'])).stdout) as { name: string }[]
    for (const name of NAMES) expect(listed.map((relation) => relation.name)).toContain(name)

    for (const name of NAMES) shown(await ltap(['inspect', 'table', dataDir, `${quoted(name)}.${quoted(name)}`]))
    const csv = await ltap(['inspect', 'table', dataDir, table, '--format', 'csv'])
    expect(csv.stdout).toContain(ESC)
    shown(await ltap(['inspect', 'history', dataDir, table]))
    shown(await ltap(['inspect', 'control', dataDir]))
    const wal = shown(await ltap(['inspect', 'wal', dataDir]))
    expect(wal.stdout).toContain('esc\\x1b]0;owned')
    expect(wal.stdout.split('\n').filter((line) => !/^rmgr: |^first record|^$/.test(line))).toEqual([])
    shown(await ltap(['replay', dataDir, '--out', join(folder, 'out')]))

    for (const name of NAMES) {
      const answer = shown(await ltap(['query', '--lake', lake, `SELECT * FROM ${quoted(name)}.${quoted(name)}`]))
      expect(answer.code, answer.stderr).toBe(0)
      shown(await ltap(['query', '--lake', lake, `SELECT * FROM ${quoted(name)}.${quoted(`${name}?`)}`]))
      shown(await ltap(['inspect', 'table', dataDir, `public.${quoted(name)}`]))
      shown(await ltap(['transcode', dataDir, '--lake', join(folder, 'other'), '--table', `public.${quoted(name)}`]))
    }
    shown(await ltap(['query', '--lake', lake, 'SHOW ALL TABLES']))

    // A difference in the file of each.
    for (const name of NAMES) {
      const [file] = await state.files(state.relation(name))
      const path = join(lake, file!.file.key)
      const bytes = readFileSync(path)
      bytes[10]! ^= 1
      writeFileSync(path, bytes)
    }
    const report = shown(await ltap(['verify', '--lake', lake]))
    expect(report.code).toBe(1)
    for (const start of ['esc', 'line', 'bidi', 'c1']) expect(report.stdout).toContain(`  postgres.${start}`)
    expect(report.stdout.split('\n').filter((line) => line.startsWith('ltap'))).toEqual([])
    const exact = JSON.parse((await ltap(['verify', '--lake', lake, '--json'])).stdout) as { differences: { relation: string }[] }
    for (const name of NAMES) expect(exact.differences.map(({ relation }) => relation)).toContain(`postgres.${name}.${name}`)
    const rebuilt = shown(await ltap(['rebuild', '--lake', lake, '--pgdata', dataDir, '--force', '--table', table]))
    expect(rebuilt.code).toBe(3)
  }))
})

/** What ran, once its output is such as a terminal may see. */
function shown(ran: Ran): Ran {
  expect(ran.stdout).not.toMatch(FORBIDDEN)
  expect(ran.stderr).not.toMatch(FORBIDDEN)
  expect(ran.stderr).not.toContain('bug in ltap')
  expect([...ran.stdout.split('\n'), ...ran.stderr.split('\n')].filter((line) => line.startsWith('ltap: equal'))).toEqual([])
  return ran
}
