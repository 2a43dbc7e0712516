/** plan | work | commit with the built program: processes of xargs, one that is killed, damaged lines, and what is refused. */
import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { fewerMajors } from '../support/oracle.ts'
import { checkSharedLake, createSharedCluster, type Ended, PROGRAM, run } from '../support/sharedjob.ts'

const [major] = fewerMajors('scale-out by the command line') as [number]

let folder: string
let cluster: PostgresServer

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ltap-scaleoutcli-'))
  cluster = await createSharedCluster(major)
})

afterAll(async () => {
  await cluster?.remove()
  rmSync(folder, { recursive: true, force: true })
})

function ltap(args: readonly string[], input?: string): Promise<Ended> {
  return run(process.execPath, [PROGRAM, ...args], input)
}

async function plan(lake: string): Promise<string> {
  const { code, stdout, stderr } = await ltap(['transcode', cluster.dataDir, '--lake', lake, '--database', 'postgres', '--plan'])
  expect(code, stderr).toBe(0)
  expect(stderr).toMatch(/^ltap: job job-[0-9a-z]{8} brings .* in \d+ units for ltap work; it stays open until ltap commit or ltap job drop\n$/)
  return stdout
}

test('xargs -P 2, a copy of the source on one of them, results twice and cut; then one commit', async () => {
  const lake = `file://${join(folder, 'lake')}`
  const units = await plan(lake)
  const file = join(folder, 'units.jsonl')
  writeFileSync(file, units)
  const copy = join(folder, 'copy')
  cpSync(cluster.dataDir, copy, { recursive: true })
  const script = `printf '%s\\n' "$@" | '${process.execPath}' '${PROGRAM}' work --workers 1 --source '${copy}'`
  const { code, stdout: results, stderr } = await run('xargs', ['-a', file, '-P', '2', '-d', '\n', '-n', '1', 'sh', '-c', script, '_'])
  expect(code, stderr).toBe(0)
  const lines = results.trimEnd().split('\n')
  expect(lines).toHaveLength(units.trimEnd().split('\n').length)
  // One is missing, one is cut, one is there twice, one is no JSON: the missing one is printed, and nothing is committed.
  const bad = [...lines.slice(1), lines[1], lines[0]!.slice(0, 300), 'no JSON'].reverse().join('\n')
  const refused = await ltap(['commit'], bad)
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('ltap: job.result: line 1 of the results is not JSON\n')
  expect(refused.stderr).toMatch(/ltap: nothing was committed: 1 unit of job \w{20} must still be done; they are on stdout, for ltap work; then commit again with all results\n$/)
  expect(JSON.parse(refused.stdout)).toMatchObject({ unit: (JSON.parse(lines[0]!) as { unit: number }).unit })
  const again = await ltap(['work', '--workers', '1'], refused.stdout)
  expect(again.code, again.stderr).toBe(0)
  const all = `${bad}\n${again.stdout}`
  const committed = await ltap(['commit', '--json'], all)
  expect(committed.code, committed.stderr).toBe(0)
  expect(JSON.parse(committed.stdout)).toMatchObject({ done: 'committed', from: null })
  await checkSharedLake(lake, cluster)
  const twice = await ltap(['commit'], all)
  expect(twice).toMatchObject({ code: 0 })
  expect(twice.stdout).toMatch(/^job \w{20} is committed already: .* has LSN [0-9A-F/]+ from it\n$/)
  const late = await ltap(['work'], units)
  expect(late.code).toBe(3)
  expect(late.stdout).toContain('"code":"job.done"')
  expect((await ltap(['verify', '--lake', lake])).code).toBe(0)
})

test('a worker that is killed, a dropped job, another source, another lake, another version', async () => {
  const lake = join(folder, 'lake2')
  const units = await plan(`file://${lake}`)
  const killed = spawn(process.execPath, [PROGRAM, 'work', '--workers', '1'], { stdio: ['pipe', 'pipe', 'inherit'] })
  killed.stdin.write(units)
  await new Promise((done) => setTimeout(done, 700))
  killed.kill('SIGKILL')
  let results = ''
  for await (const chunk of killed.stdout) results += String(chunk)
  const left = await ltap(['commit'], `${results}\n${(await ltap(['work', '--workers', '1'], units.split('\n')[0])).stdout}`)
  expect([0, 1]).toContain(left.code)

  const other = `file://${join(folder, 'lake3')}`
  const otherUnits = await plan(other)
  const wrongLake = await ltap(['work', '--lake', lake], otherUnits)
  expect(wrongLake.code).toBe(3)
  expect(wrongLake.stdout).toContain('"code":"job.other-lake"')
  const wrongVersion = await ltap(['work'], otherUnits.replace(/"ltap":"[^"]*"/g, '"ltap":"99.0.0"'))
  expect(wrongVersion.code).toBe(3)
  expect(wrongVersion.stdout).toContain('use the same ltap on all machines')
  const sourceless = await ltap(['work', '--source', folder], otherUnits)
  expect(sourceless.code).toBe(3)
  const listed = await ltap(['job', 'list', '--lake', other])
  const name = /^(job-\w+) \(\w{20}\): a new lake to [0-9A-F/]+\n$/.exec(listed.stdout)?.[1]
  expect(name).toBeDefined()
  const done = await ltap(['work', '--workers', '2'], otherUnits)
  expect(done.code, done.stderr).toBe(0)
  expect((await ltap(['gc', other])).code).toBe(0)
  expect((await ltap(['job', 'drop', name!, '--lake', other])).stdout).toMatch(/^dropped: job-/)
  const gone = await ltap(['commit'], done.stdout)
  expect(gone.code).toBe(3)
  expect(gone.stderr).toMatch(/^ltap: commit\.job-gone: job \w{20} is not open in branch main: it was dropped, .*\n$/)
  expect((await ltap(['job', 'list', '--lake', other])).stdout).toContain('has no open job')
  expect((await ltap(['job', 'drop', name!, '--lake', other])).code).toBe(3)
  expect((await ltap(['gc', other])).stdout).toMatch(/[1-9]\d* objects/)
  const replaying = await ltap(['transcode', cluster.dataDir, '--lake', lake, '--plan', '--to', '0/1'])
  expect(replaying.code).toBe(2)
  expect(readFileSync(join(lake, 'ltap/format.json'), 'utf8')).toContain('systemIdentifier')
})
