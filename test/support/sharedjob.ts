/** What tests of jobs that several processes share have in common: the built program, a cluster with one large table, and the lake that one process makes of it. */
import { execFile } from 'node:child_process'
import { resolve } from 'node:path'
import { expect } from 'vitest'
import { MemoryObjectStore } from '../../src/engine/memoryobjectstore.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import { systemClock } from '../../src/io/process/clock.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, connect, createCluster } from './oracle.ts'
import { stateEntries } from './stateentries.ts'

export const PROGRAM: string = resolve(import.meta.dirname, '../../dist/cli/main.js')

export interface Ended {
  code: number
  stdout: string
  stderr: string
}

/** Runs a program to its end. */
export function run(file: string, args: readonly string[], input = ''): Promise<Ended> {
  return new Promise((done) => {
    const child = execFile(file, args, { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      done({ code: error === null ? 0 : Number(error.code), stdout, stderr })
    })
    child.stdin!.end(input)
  })
}

/** A stopped server whose database `postgres` has a table of several files. */
export async function createSharedCluster(major: number): Promise<PostgresServer> {
  const cluster = await createCluster(major)
  await (await connect(cluster)).script('CREATE TABLE t (id int, v text); INSERT INTO t SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, 60000) i')
  await closeSessions(cluster)
  await cluster.stop('fast')
  return cluster
}

/** The lake is the one that a single process makes of the database `postgres`. */
export async function checkSharedLake(lake: string, { dataDir }: PostgresServer): Promise<void> {
  const alone = new MemoryObjectStore(systemClock)
  await materializeLake({ pgdata: dataDir, store: alone, workers: 0, filter: { databases: ['postgres'], tables: [] } })
  expect(await stateEntries(await openObjectStore(lake))).toEqual(await stateEntries(alone))
}
