import { decodeDbase } from '../dbase.ts'
import { MAIN_FORK } from '../../common/relpath.ts'
import { decodeRelmapUpdate, XLOG_RELMAP_UPDATE } from '../relmap.ts'
import { decodeSequenceLog, XLOG_SEQ_LOG } from '../sequence.ts'
import { decodeSmgrCreate, decodeSmgrTruncate, XLOG_SMGR_CREATE, XLOG_SMGR_TRUNCATE } from '../smgr.ts'
import { decodeTblspcCreate, decodeTblspcDrop, XLOG_TBLSPC_CREATE, XLOG_TBLSPC_DROP } from '../tblspc.ts'
import type { WalRecord } from '../record.ts'
import { locatorText, relationPath, serverText, spaced } from './parts.ts'
import { identifyBy, type RmgrText } from './rmgrtext.ts'
import type { PgMajor } from '../../common/pgversion.ts'

/* What concerns files: relations, databases, tablespaces. */

/** RM_SMGR_ID (smgrdesc.c). */
export const smgrText: RmgrText = {
  identify: identifyBy(['', 'CREATE', 'TRUNCATE']),
  describe(record, major) {
    if (record.op === XLOG_SMGR_CREATE) {
      const { locator, fork } = decodeSmgrCreate(record)
      return relationPath(locator, fork, major)
    }
    if (record.op !== XLOG_SMGR_TRUNCATE) return ''
    const { locator, blocks, flags } = decodeSmgrTruncate(record)
    return `${relationPath(locator, MAIN_FORK, major)} to ${blocks} blocks flags ${flags}`
  },
}

/** RM_SEQ_ID (seqdesc.c). */
export const sequenceText: RmgrText = {
  identify: identifyBy(['LOG']),
  describe: (record) => (record.op === XLOG_SEQ_LOG ? `rel ${locatorText(decodeSequenceLog(record).locator)}` : ''),
}

/** RM_RELMAP_ID (relmapdesc.c). */
export const relmapText: RmgrText = {
  identify: identifyBy(['UPDATE']),
  describe(record) {
    if (record.op !== XLOG_RELMAP_UPDATE) return ''
    const { dbOid, spcOid, bytes } = decodeRelmapUpdate(record)
    return `database ${dbOid} tablespace ${spcOid} size ${bytes.length}`
  },
}

const identifyDbase14 = identifyBy(['CREATE', 'DROP'])
const identifyDbase15 = identifyBy(['CREATE_FILE_COPY', 'CREATE_WAL_LOG', 'DROP'])

/** RM_DBASE_ID (dbasedesc.c). */
export const dbaseText: RmgrText = {
  identify: (info, major) => (major === 14 ? identifyDbase14 : identifyDbase15)(info),
  describe: (record, major) => (dbaseText.identify(record.info, major) === undefined ? '' : describeDbase(record, major)),
}

function describeDbase(record: WalRecord, major: PgMajor): string {
  const decoded = decodeDbase(record, major)
  switch (decoded.kind) {
    case 'create-file-copy':
      return `copy dir ${decoded.sourceSpcOid}/${decoded.sourceDbOid} to ${decoded.spcOid}/${decoded.dbOid}`
    case 'create-wal-log':
      return `create dir ${decoded.spcOid}/${decoded.dbOid}`
    case 'drop':
      return `dir${spaced(decoded.spcOids.map((spcOid) => `${spcOid}/${decoded.dbOid}`))}`
  }
}

/** RM_TBLSPC_ID (tblspcdesc.c). */
export const tblspcText: RmgrText = {
  identify: identifyBy(['CREATE', 'DROP']),
  describe(record) {
    if (record.op === XLOG_TBLSPC_DROP) return String(decodeTblspcDrop(record))
    if (record.op !== XLOG_TBLSPC_CREATE) return ''
    const { oid, path } = decodeTblspcCreate(record)
    return `${oid} "${serverText(path)}"`
  },
}
