/** Heap pages: header, line pointers, checksum and canonical form. Pure; no I/O. */
export {
  checkPageBounds, checkPageHeader, isZeroPage, type PageHeader, PAGESIZE_VERSION, PD_CHECKSUM, PD_FLAGS, PD_LOWER, PD_LSN,
  PD_PAGESIZE_VERSION, PD_PRUNE_XID, PD_SPECIAL, PD_UPPER, PD_VALID_FLAG_BITS, readPageHeader, SIZE_OF_PAGE_HEADER,
} from './header.ts'
export {
  checkLinePointers, linePointer, linePointerCount, LP_DEAD, LP_FLAGS, LP_NORMAL, LP_OFF, LP_REDIRECT, LP_UNUSED, lpFlags, lpLen, lpOff,
  makeLinePointer, usedLinePointers,
} from './linepointer.ts'
export { checkPageChecksum, pageChecksum } from './checksum.ts'
export { canonicalPage, firstDifference, newPageBuffer, type PageBuffer, pageBuffer } from './canonical.ts'
export {
  clearAllVisible, initPage, isNewPage, maxOffset, normalItem, pageLsn, pageSpecial, type PageViews, PD_ALL_VISIBLE, PD_HAS_FREE_LINES,
  placeItem, redirectItems, releaseItems, repairFragmentation, setAllVisible, setPageLsn, setPrunable, truncateLinePointers,
} from './heappage.ts'
export { clearMapBits, clearMapTail, HEAP_BLOCKS_PER_MAP_PAGE, mapBits, mapBlock, setMapBits } from './visibilitymap.ts'
export { MemoryPages, type PageSource, READ_BLOCKS, readPages } from './pagesource.ts'
export { isIndexArea, isSequenceArea, SEQ_MAGIC, SIZE_OF_SEQUENCE_SPECIAL } from './specialarea.ts'
