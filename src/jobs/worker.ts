/** What a worker thread can do: one exported function per kind of task, each returning its outcome. */
import { checkFile as runCheckFile, type CheckFileTask } from './tasks/checkfiletask.ts'
import type { BlockRun } from '../common/blockset.ts'
import { changedBlocks as findChangedBlocks, type ChangedBlocksTask } from './tasks/changedblockstask.ts'
import { type LayerResult, type LayerTask, type PackableResult, writeLayerFile } from './tasks/layertask.ts'
import { type LeftAsTheyAre, mergeLayerFiles, type MergeResult, type MergeTask } from './tasks/mergetask.ts'
import { rebuild as runRebuild, type RebuildTask } from './tasks/rebuildtask.ts'
import { type CodecModules, loadCodecs } from './tasks/codecs.ts'
import { type Outcome, outcomeOf } from './tasks/remote.ts'
import { toastIndex as runToastIndex, type ToastIndexTask } from './tasks/toastindextask.ts'
import type { RebuildOptions } from '../columnar/rebuild.ts'
import type { WantedOverflow } from '../columnar/wantedoverflow.ts'
import type { UnreadableFile } from './tasks/forkpages.ts'
import { transcode as runTranscode, type TranscodeResult, type TranscodeTask } from './tasks/transcodetask.ts'
import { transcodePagesOf, type TranscodedPages, type TranscodePagesTask } from './tasks/transcodepagestask.ts'
import type { VerifyResult } from './tasks/verifyresult.ts'
import { verifyLayer as runVerifyLayer, type VerifyLayerTask } from './tasks/verifylayertask.ts'
import { verify as runVerify, type VerifyTask } from './tasks/verifytask.ts'
import type { ToastIndex } from '../columnar/toastindex.ts'

export function transcode(task: TranscodeTask): Promise<Outcome<TranscodeResult | WantedOverflow | UnreadableFile>> {
  return outcomeOf(() => runTranscode(task))
}

export function transcodePages(task: TranscodePagesTask): Promise<Outcome<TranscodedPages | WantedOverflow>> {
  return outcomeOf(() => transcodePagesOf(task))
}

export function changedBlocks(task: ChangedBlocksTask): Promise<Outcome<readonly BlockRun[] | UnreadableFile>> {
  return outcomeOf(() => findChangedBlocks(task))
}

export function layer(task: LayerTask): Promise<Outcome<LayerResult | PackableResult | WantedOverflow | UnreadableFile>> {
  return outcomeOf(() => writeLayerFile(task))
}

export function merge(task: MergeTask): Promise<Outcome<MergeResult | LeftAsTheyAre>> {
  return outcomeOf(() => mergeLayerFiles(task))
}

export function toastIndex(task: ToastIndexTask): Promise<Outcome<ToastIndex>> {
  return outcomeOf(() => runToastIndex(task))
}

export function checkFile(task: CheckFileTask): Promise<Outcome<void>> {
  return outcomeOf(async () => runCheckFile(task, await codecsOf(task)))
}

export function rebuild(task: RebuildTask): Promise<Outcome<number>> {
  return outcomeOf(async () => runRebuild(task, await codecsOf(task)))
}

export function verify(task: VerifyTask): Promise<Outcome<VerifyResult>> {
  return outcomeOf(async () => runVerify(task, await codecsOf(task)))
}

async function codecsOf({ codecs }: { codecs?: CodecModules }): Promise<RebuildOptions> {
  return { extensions: await loadCodecs(codecs) }
}

export function verifyLayer(task: VerifyLayerTask): Promise<Outcome<VerifyResult>> {
  return outcomeOf(async () => runVerifyLayer(task, await codecsOf(task)))
}
