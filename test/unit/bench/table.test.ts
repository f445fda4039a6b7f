import { expect, it } from 'vitest'
import { tableOf } from '../../bench/table.ts'

it('tells what is well, what is not, and what is not known, in columns', () => {
  const line = { target: '1 s', values: {} }
  const table = tableOf([
    { ...line, what: 'short', measured: '0.5 s', ok: true },
    { ...line, what: 'rather long', measured: '2 s', ok: false },
    { ...line, what: 'unknown', measured: 'it is not there', ok: undefined },
  ])
  expect(table.split('\n')).toEqual([
    'what         target  measured',
    '-----------  ------  ---------------  ------------',
    'short        1 s     0.5 s            ok',
    'rather long  1 s     2 s              MISS',
    'unknown      1 s     it is not there  not measured',
  ])
})
