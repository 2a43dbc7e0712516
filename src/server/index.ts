/** Real Postgres servers, for demo, tests and benchmarks. */
export { PostgresCluster } from './postgres.ts'
