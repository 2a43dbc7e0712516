/** WAL: pages, records, block references and images, the records of each resource manager, and pg_waldump's text of them. Pure; no I/O. */
export { restoreImage } from './blockimage.ts'
export { firstTimelineHistory, isPageOf, parseTimelineHistory, timelineAt, type TimelineEntry, type TimelineHistory } from './timelinehistory.ts'
export { majorOfMagic, readWalPageHeader, type WalPageHeader } from './pageheader.ts'
export { WalReader, type WalReaderOptions } from './reader.ts'
export {
  BlockReference, IMAGE_LZ4, IMAGE_PGLZ, IMAGE_PLAIN, IMAGE_ZSTD, type ImageCompression, RECORD_SIZE_MAX, WalRecord, XLR_CHECK_CONSISTENCY,
  XLR_SPECIAL_REL_UPDATE,
} from './record.ts'
export { SIZE_OF_RECORD_HEADER } from './recordheader.ts'
export {
  findRmgr, isRmgrValid, RM_BRIN_ID, RM_BTREE_ID, RM_CLOG_ID, RM_COMMIT_TS_ID, RM_DBASE_ID, RM_GENERIC_ID, RM_GIN_ID, RM_GIST_ID,
  RM_HASH_ID, RM_HEAP2_ID, RM_HEAP_ID, RM_LOGICALMSG_ID, RM_MAX_BUILTIN_ID, RM_MAX_CUSTOM_ID, RM_MIN_CUSTOM_ID, RM_MULTIXACT_ID,
  RM_RELMAP_ID, RM_REPLORIGIN_ID, RM_SEQ_ID, RM_SMGR_ID, RM_SPGIST_ID, RM_STANDBY_ID, RM_TBLSPC_ID, RM_XACT_ID, RM_XLOG_ID, RMGR_NAMES,
  rmgrName,
} from './rmgr.ts'
export {
  checkSegmentSize, isSegmentSize, parseSegmentName, parseTimelineHistoryName, type SegmentName, segmentName, segmentNumber, segmentOf,
  timelineHistoryName,
} from './segment.ts'
export { RecordMemory } from './recordmemory.ts'
export { type DroppedStats, XactEnd } from './xact.ts'
export { describeRecord, recordType } from './text/describe.ts'
export { compressionName, dumpRecord, imagesLength } from './waldump.ts'
export { walCorruption, type WalEnd } from './walend.ts'
export { WalStats, type WalStatsRow } from './walstats.ts'
