/**
 * The JSON values in a stream of lines, one by one as they arrive. Calls `onChunk` for each piece of the stream.
 * Throws SyntaxError on a line that is not JSON, and what the stream throws when it breaks; what stands behind the
 * last line break is dropped, since nobody knows whether it is whole.
 */
export async function* jsonLines(stream: AsyncIterable<Uint8Array>, onChunk: () => void): AsyncGenerator<unknown> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of stream) {
    onChunk()
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line.trim() !== '') yield JSON.parse(line)
    }
  }
}
