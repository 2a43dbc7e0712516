import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ObjectStore } from '../../src/engine/objectstore.ts'
import { openObjectStore } from '../../src/io/objectstore/openobjectstore.ts'
import type { MaterializeLakeOptions } from '../../src/jobs/materialize/materializeoptions.ts'
import { materializeLake } from '../../src/jobs/materialize/materializelake.ts'
import type { PostgresServer } from '../../src/server/postgres.ts'
import { closeSessions, connect, createCluster } from './oracle.ts'

/** Copies of one cluster's data directory at several moments, and lakes that are made of them. */
export class CopiedStates {
  readonly folder: string
  readonly copies: string[] = []
  private readonly cluster: PostgresServer

  private constructor(folder: string, cluster: PostgresServer) {
    this.folder = folder
    this.cluster = cluster
  }

  /** @param scripts SQL, one for each copy */
  static async make(major: number, scripts: readonly string[]): Promise<CopiedStates> {
    const cluster = await createCluster(major, { settings: { autovacuum: 'off' } })
    const states = new CopiedStates(mkdtempSync(join(tmpdir(), 'ltap-copied-')), cluster)
    for (const script of scripts) await states.take(script)
    return states
  }

  private async take(script: string): Promise<void> {
    const { cluster, copies, folder } = this
    if (copies.length > 0) await cluster.start()
    await (await connect(cluster)).script(script)
    await closeSessions(cluster)
    await cluster.stop('fast')
    const copy = join(folder, `data${copies.length}`)
    cpSync(cluster.dataDir, copy, { recursive: true })
    copies.push(copy)
  }

  lake(name: string): string {
    return join(this.folder, name)
  }

  /** Transcodes a copy into a lake of the test's folder. */
  async transcode(
    lake: string, copy: number, options: Partial<MaterializeLakeOptions> = {}, change: (store: ObjectStore) => ObjectStore = (store) => store,
  ): ReturnType<typeof materializeLake> {
    const store = change(await openObjectStore(this.lake(lake)))
    return await materializeLake({ pgdata: this.copies[copy]!, store, workers: 0, filter: { databases: ['postgres'], tables: [] }, ...options })
  }

  async remove(): Promise<void> {
    await this.cluster.remove()
    rmSync(this.folder, { recursive: true, force: true })
  }
}
