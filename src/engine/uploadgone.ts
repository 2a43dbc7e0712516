import { EnvironmentError } from '../common/errors.ts'

/** Error of an upload that another process removed. */
export function uploadGone(file: string): EnvironmentError {
  return new EnvironmentError('store.upload-gone', 'an upload was removed before it ended: by gc, since another process writes this branch now or since it was '
    + 'too old, or by a rule of the bucket; start again', { file })
}
