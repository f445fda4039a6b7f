/** S3, as far as distributed Maps use it: whole objects of text. Rejects with an error whose name is S3's code. */
export interface ObjectFiles {
  read(bucket: string, key: string): Promise<string>
  write(bucket: string, key: string, text: string): Promise<void>
}

const nowhere = async () => {
  throw Object.assign(new Error('This interpreter was given no S3.'), { name: 'NoSuchBucket' })
}

/** For machines without distributed Maps. */
export const noObjectFiles: ObjectFiles = { read: nowhere, write: nowhere }
