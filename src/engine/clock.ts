/** A port of the engine, and of replay below it. */
export type { Clock } from '../common/clock.ts'
