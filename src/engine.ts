/** The ports of a lake on an object store; and the old name of `ltap/replay`, for one version. */
export * from './engine/index.ts'
export * from './replay/index.ts'
