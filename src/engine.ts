/** The old name of `ltap/replay`, for one version. */
export * from './replay/index.ts'
