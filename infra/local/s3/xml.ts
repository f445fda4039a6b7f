import { XMLBuilder, XMLParser } from 'fast-xml-parser'
import { z } from 'zod'
import { S3Error } from './s3-error.ts'

/** A list becomes elements of the same name, undefined becomes none. */
export type XmlValue = string | number | boolean | undefined | XmlElement | readonly XmlElement[]
export interface XmlElement {
  readonly [name: string]: XmlValue
}

const builder = new XMLBuilder({ ignoreAttributes: false })
// Entities are not expanded, and text stays text.
const parser = new XMLParser({ processEntities: false, parseTagValue: false })
/** The documents that are read here are a few hundred bytes. */
const largestDocument = 64 * 1024

/** An answer of S3. */
export function s3Document(name: string, content: XmlElement): string {
  return document(name, { '@_xmlns': 'http://s3.amazonaws.com/doc/2006-03-01/', ...content })
}

/** S3's errors have no namespace. */
export function errorDocument(content: XmlElement): string {
  return document('Error', content)
}

function document(name: string, content: XmlElement): string {
  return builder.build({ '?xml': { '@_version': '1.0', '@_encoding': 'UTF-8' }, [name]: content })
}

/** The content of the document `name`; an empty one is `{}`. Throws S3Error `MalformedXML`. */
export function readDocument<Content extends z.ZodRawShape>(
  body: Buffer,
  name: string,
  content: Content,
): z.infer<z.ZodObject<Content>> {
  const malformed = new S3Error('MalformedXML', `The body is not a well-formed ${name}.`)
  if (body.length > largestDocument) throw malformed
  const { data, success } = z
    .strictObject({ '?xml': z.unknown(), [name]: z.preprocess((value) => value || {}, z.strictObject(content)) })
    .safeParse(parsed(body, malformed))
  if (!success) throw malformed
  return data[name] as z.infer<z.ZodObject<Content>>
}

function parsed(body: Buffer, malformed: S3Error): unknown {
  try {
    return parser.parse(body, true)
  } catch {
    throw malformed
  }
}
