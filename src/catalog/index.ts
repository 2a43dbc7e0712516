/** pg_class, pg_attribute, pg_type … read from heap pages. Pure; no I/O. */
export { Cluster, type ClusterOptions, snapshotOf } from './cluster.ts'
export { type ClusterIdentity, type ClusterSource, type ClusterTransactions, transactionsOf } from './clustersource.ts'
export { type ControlFile, parseControlFile } from './controlfile.ts'
export { loadCluster } from './loadcluster.ts'
export { parseColumnList } from './columnlist.ts'
export * from './relations.ts'
export { parseRelationMap } from '../common/relationmap.ts'
export * from './tupledesc.ts'
