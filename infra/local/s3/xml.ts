import { XMLBuilder, XMLParser } from 'fast-xml-parser'
import type { z } from 'zod'
import { notImplemented, S3Error } from './s3-error.ts'

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

/**
 * The content of the document `name`; an empty one is `{}`. Throws S3Error `MalformedXML`, and `NotImplemented` for
 * elements that `content`, a strict object, does not have.
 */
export function readDocument<Content>(body: Buffer, name: string, content: z.ZodType<Content>): Content {
  const malformed = new S3Error('MalformedXML', `The body is not a well-formed ${name}.`)
  if (body.length > largestDocument) throw malformed
  const document = parsed(body, malformed)
  if (!Object.hasOwn(document, name)) throw malformed
  const { data, error } = content.safeParse(document[name] || {})
  if (!error) return data
  const [issue] = error.issues
  throw issue?.code === 'unrecognized_keys' ? notImplemented(`the element ${issue.keys[0]} of ${name}`) : malformed
}

function parsed(body: Buffer, malformed: S3Error): Record<string, unknown> {
  try {
    return parser.parse(body, true)
  } catch {
    throw malformed
  }
}
