/** @returns the path of the tarball */
export function pack(destination: string): string
