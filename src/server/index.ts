/** Real Postgres servers, for demo, tests and benchmarks. */
export { type AdoptOptions, type CreateOptions, PostgresServer, type ServerOptions, type StopMode } from './postgres.ts'
