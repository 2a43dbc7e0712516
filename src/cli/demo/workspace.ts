import { chmodSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { ScratchFolder } from '../../io/disk/scratchfolder.ts'
import { onEnd, stopIfEnding } from '../../io/process/interruption.ts'
import { FAST_SETTINGS, PostgresServer } from '../../server/postgres.ts'
import { endServersIn } from '../../server/leftovers.ts'
import type { LakeFolder } from './lakefolder.ts'

/** Nothing happens to the data but what the demo does: no vacuum in the background, no waiting for the disk. */
const SETTINGS: Readonly<Record<string, string>> = {
  ...FAST_SETTINGS, autovacuum: 'off', jit: 'off', max_wal_size: '2GB', shared_buffers: '128MB', work_mem: '64MB',
}

/**
 * The servers and files of one run of the demo, all in temporary folders. {@link close} ends and deletes them; so does Ctrl-C, and
 * then a lake that is not finished goes too.
 */
export class Workspace {
  private readonly servers: PostgresServer[] = []
  /** What is being made right now must be finished before it can be removed. */
  private making: Promise<unknown> = Promise.resolve()
  private readonly lake: LakeFolder
  private readonly scratch: ScratchFolder
  private closing: Promise<void> | undefined
  private readonly forget: () => void

  /** @param onNotice told of what a demo left that was killed: it is removed, its servers are ended */
  constructor(lake: LakeFolder, onNotice: (text: string) => void) {
    this.lake = lake
    this.scratch = new ScratchFolder(join(tmpdir(), 'ltap-demo-'), onNotice, endServersIn)
    // As root, servers run as another user.
    if (process.getuid?.() === 0) chmodSync(this.scratch.path, 0o711)
    this.forget = onEnd(() => this.close())
  }

  /** A new server, not started. */
  async create(major: number): Promise<PostgresServer> {
    // 18 has checksums by default.
    const initdbArgs = major < 18 ? { initdbArgs: ['-k'] } : {}
    return await this.make(() => PostgresServer.create({ major, parentDir: this.scratch.path, settings: SETTINGS, ...initdbArgs }))
  }

  /** A server on a copied data directory, not started. */
  async adopt(dataDir: string): Promise<PostgresServer> {
    return await this.make(() => PostgresServer.adopt({ dataDir, parentDir: this.scratch.path }))
  }

  /** Copies the stopped server's data directory into its own temporary folder. */
  async copy(server: PostgresServer): Promise<string> {
    const to = join(dirname(server.dataDir), `rebuilt-${basename(server.dataDir)}`)
    const copying = server.copyDataDir(to)
    this.making = copying
    await copying
    await stopIfEnding()
    return to
  }

  private async make(start: () => Promise<PostgresServer>): Promise<PostgresServer> {
    const making = start().then((server) => {
      this.servers.push(server)
      return server
    })
    this.making = making
    const server = await making
    await stopIfEnding()
    return server
  }

  /** Runs the demo. Servers, temporary files and an unfinished lake are removed at its end, even if it fails. */
  async use<T>(body: (workspace: Workspace) => Promise<T>): Promise<T> {
    try {
      return await body(this)
    } catch (error) {
      // What failed did so because its server was stopped.
      await stopIfEnding()
      throw error
    } finally {
      await this.close()
      this.forget()
    }
  }

  private close(): Promise<void> {
    this.closing ??= this.removeAll()
    return this.closing
  }

  private async removeAll(): Promise<void> {
    await this.making.catch(() => {})
    // The first one's folder holds the copy that the others run on.
    for (const server of this.servers.reverse()) await server.remove()
    this.scratch.remove()
    this.lake.removeUnfinished()
  }
}
