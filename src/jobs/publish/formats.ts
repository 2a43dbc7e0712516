import type { FormatName, WantedSettings } from '../../lake/publishedentry.ts'
import type { TableFormat } from '../../lake/tableformat.ts'
import { deltaFormat } from '../../lake/delta/format.ts'
import { icebergFormat } from '../../lake/iceberg/format.ts'
import { LTAP_VERSION } from '../version.ts'

/** All formats, in the order in which their snapshots come before readers. */
export function tableFormats({ icebergVersion, window }: WantedSettings): Map<FormatName, TableFormat> {
  return new Map<FormatName, TableFormat>([
    ['iceberg', icebergFormat({ formatVersion: icebergVersion, window, ltapVersion: LTAP_VERSION })],
    ['delta', deltaFormat({ window, ltapVersion: LTAP_VERSION })],
  ])
}
