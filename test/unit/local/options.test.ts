import { expect, it } from 'vitest'
import { UsageError } from '../../../infra/command-line.ts'
import { parseOptions } from '../../../infra/local/options.ts'

it('runs the demo without arguments', () => {
  const options = parseOptions([])
  expect(options).toMatchObject({ port: 8080, portIsDefault: true, once: false, json: false, kubeconfig: undefined })
  expect(options.push).toMatch(/test\/fixtures\/github\/push\.json$/)
  expect(options.manifests).toMatch(/test\/fixtures\/fleet$/)
  expect(options.fleet).toMatch(/\/cdk\.json$/)
})

it('sends no push to a real cluster unless one is named, and runs in real time there', () => {
  expect(parseOptions(['--kubeconfig', 'k'])).toMatchObject({ push: undefined, speed: 1 })
  expect(parseOptions(['--kubeconfig', 'k', '--push', 'p'])).toMatchObject({ push: 'p', pushGiven: true })
})

it.each([
  [['--sped', '4'], "Unknown option '--sped'. See --help."],
  [['extra'], "Unexpected argument 'extra'. See --help."],
  [['--port'], "Option '--port <value>' argument missing. See --help."],
  [['--port', '70000'], '--port 70000 is no port; give a number from 0 to 65535. See --help.'],
  [['--speed', '0'], '--speed 0 is no speed; give a number from 0.1 to 1000. See --help.'],
  [['--context', 'c'], '--context needs --kubeconfig. See --help.'],
  [['--cluster', 'c'], '--cluster needs --kubeconfig. See --help.'],
  [['--kubeconfig', 'k', '--speed', '4'], 'A real cluster has real time: --speed cannot be set. See --help.'],
  [['--kubeconfig', 'k', '--once'], '--once with --kubeconfig needs --push. See --help.'],
])('refuses %j', (args, message) => {
  expect(() => parseOptions(args)).toThrow(UsageError)
  expect(() => parseOptions(args)).toThrow(message)
})
