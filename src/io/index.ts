/** Data directories, worker threads, whole lakes: everything that touches files. */
export { Cluster, openCluster, openSnapshot } from './cluster.ts'
export { readManifest } from './lake.ts'
export { rebuildLake, type RebuildLakeOptions, type RebuildReport } from './rebuildlake.ts'
export { transcodeLake, type TranscodeLakeOptions } from './transcodelake.ts'
export { type LakeReport, verifyLake, type VerifyLakeOptions } from './verifylake.ts'
