/** Real S3 servers of this machine, as `npm run conformance:install` puts them; each with an empty bucket `lake`. */
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'

const FOLDER = process.env['LTAP_CONFORMANCE'] ?? join(homedir(), '.cache/ltap')
const LOCAL = '127.0.0.1'
const READY_MS = 120_000

export const KEYS = { accessKeyId: 'ltapkey', secretAccessKey: 'ltapsecret' }
/** May read and not write. */
export const READER = { accessKeyId: 'readkey', secretAccessKey: 'readsecret' }

export interface RealServer {
  readonly name: string
  readonly endpoint: string
  stop(): Promise<void>
}

interface Program {
  readonly path: string
  /** Starts it with its data in `root`. */
  readonly start: (path: string, root: string, options: readonly string[]) => Promise<{ child: ChildProcess, port: number }>
}

const PROGRAMS: Record<string, Program> = {
  versitygw: {
    path: join(FOLDER, 'bin/versitygw'),
    start: async (path, root, options) => {
      const [port] = await freePorts(1)
      const data = join(root, 'data')
      mkdirSync(data, { recursive: true })
      const environment = { ROOT_ACCESS_KEY: KEYS.accessKeyId, ROOT_SECRET_KEY: KEYS.secretAccessKey }
      return { child: run(path, ['--quiet', '--keep-alive', '--port', `${LOCAL}:${port}`, ...options, 'posix', data], root, environment), port: port! }
    },
  },
  SeaweedFS: {
    path: join(FOLDER, 'seaweedfs/bin/weed'),
    start: async (path, root) => {
      const ports = await freePorts(8)
      const names = ['master.port', 'master.port.grpc', 'volume.port', 'volume.port.grpc', 'filer.port', 'filer.port.grpc', 's3.port', 's3.port.grpc']
      const identity = (name: string, { accessKeyId: accessKey, secretAccessKey: secretKey }: typeof KEYS, actions: string[]): object =>
        ({ name, credentials: [{ accessKey, secretKey }], actions })
      const identities = [identity('ltap', KEYS, ['Admin', 'Read', 'Write', 'List', 'Tagging']), identity('reader', READER, ['Read', 'List'])]
      writeFileSync(join(root, 's3.json'), JSON.stringify({ identities }))
      mkdirSync(join(root, 'data'), { recursive: true })
      const options = ['-logtostderr=true', 'server', `-dir=${join(root, 'data')}`, `-ip=${LOCAL}`, `-ip.bind=${LOCAL}`, '-master.telemetry=false', '-filer', '-s3',
        ...names.map((name, i) => `-${name}=${ports[i]}`), '-s3.port.iceberg=0', '-s3.port.lance=0', `-s3.config=${join(root, 's3.json')}`,
        '-master.volumeSizeLimitMB=256', '-volume.max=50', `-filer.localSocket=${join(root, 'f')}`, `-s3.localSocket=${join(root, 's')}`]
      return { child: run(path, options, root, {}), port: ports[6]! }
    },
  },
}

/** Names of the servers that are installed here; of each other one a line that it is skipped. */
export function installedServers(): string[] {
  return Object.entries(PROGRAMS).filter(([name, { path }]) => {
    if (existsSync(path)) return true
    console.info(`SKIPPED: no ${name}: run \`npm run conformance:install\``)
    return false
  }).map(([name]) => name)
}

/** @param root its data and log; by default a new folder that `stop` removes */
export async function startServer(name: string, options: readonly string[] = [], root?: string): Promise<RealServer> {
  const folder = root ?? mkdtempSync(join(tmpdir(), 'ltap-s3-'))
  const { path, start } = PROGRAMS[name]!
  const { child, port } = await start(path, folder, options)
  const endpoint = `http://${LOCAL}:${port}`
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    if (root === undefined) rmSync(folder, { recursive: true, force: true })
  }
  try {
    await createBucket(endpoint, child)
  } catch (error) {
    const log = readFileSync(join(folder, 'log'), 'utf8').slice(-2000)
    await stop()
    throw new Error(`${name} does not begin: ${log}`, { cause: error })
  }
  return { name, endpoint, stop }
}

async function createBucket(endpoint: string, child: ChildProcess): Promise<void> {
  const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials: KEYS, maxAttempts: 1, requestHandler: { requestTimeout: 5_000 } })
  const end = Date.now() + READY_MS
  for (;;) {
    try {
      await client.send(new CreateBucketCommand({ Bucket: 'lake' }))
      return
    } catch (error) {
      const { name } = error as Error
      if (name === 'BucketAlreadyOwnedByYou' || name === 'BucketAlreadyExists' || name === 'AccessDenied') return
      if (child.exitCode !== null || Date.now() > end) throw error
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}

function run(path: string, options: string[], root: string, environment: Record<string, string>): ChildProcess {
  const log = openSync(join(root, 'log'), 'a')
  return spawn(path, options, { cwd: root, stdio: ['ignore', log, log], env: { PATH: process.env['PATH'], HOME: root, ...environment } })
}

async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, async () => {
    const server = createServer().listen(0, LOCAL)
    await once(server, 'listening')
    return server
  }))
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
