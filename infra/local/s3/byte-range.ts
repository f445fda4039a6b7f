import { notImplemented, S3Error } from './s3-error.ts'

/**
 * The bytes that a Range header asks for, both ends included: `bytes=0-9`, `bytes=10-`, `bytes=-5` (the last five).
 * Throws S3Error `InvalidRange` when there are no such bytes, `NotImplemented` for other forms.
 */
export function byteRange(header: string, size: number): { from: number; to: number } {
  const [matched, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header) ?? []
  if (matched === undefined || (first === '' && last === '')) throw notImplemented(`the range ${header}`)
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const to = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  // S3 takes a range that ends before it begins for none at all.
  if (first !== '' && last !== '' && Number(last) < Number(first)) throw notImplemented(`the range ${header}`)
  if (from <= to) return { from, to }
  const details = { RangeRequested: header, ActualObjectSize: String(size) }
  throw new S3Error('InvalidRange', 'The requested range is not satisfiable', {
    details,
    headers: { 'content-range': `bytes */${size}` },
  })
}
