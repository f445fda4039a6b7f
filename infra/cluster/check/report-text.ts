import { lineOf, type Piece, printable, type Style } from '../../local/display/terminal-text.ts'
import type { CheckReport, PermissionLine, Status } from './report.ts'

export interface Layout {
  /** Characters a line may have; Infinity for a pipe. */
  readonly width: number
  readonly color: boolean
}

/** A report as lines for a person, safe to print. What is wrong, and the next steps, stand at the end. */
export function reportLines(report: CheckReport, layout: Layout): string[] {
  const { cluster, server, askedAs } = report
  const section = (title: string, rows: readonly Row[]) =>
    rows.length === 0 ? [] : ['', lineOf([[title, 'bold']], layout), ...table(rows, layout)]
  return [
    lineOf([[`${cluster} (${server})`, 'bold'], [askedAs === null ? '' : `, asked as ${askedAs}`]], layout),
    ...section('Versions', report.versions.map(versionRow)),
    ...section('CRDs', report.crds.map(crdRow)),
    ...section('Controllers', controllerRows(report)),
    ...section(permissionTitle(report), [
      permissionRow('observe and order', report.permissions['observe and order'], 'Lockstep cannot work'),
      permissionRow('unlock', report.permissions.unlock, 'no unlocks happen here'),
    ]),
    ...findings('Left out here', 'yellow', report.warnings, layout),
    ...findings(
      'Missing',
      'red',
      report.problems.map(({ message }) => message),
      layout,
    ),
    '',
    report.ok
      ? lineOf([['Everything that Lockstep needs is there.', 'green']], layout)
      : lineOf([['Lockstep cannot work with this cluster yet.', 'red']], layout),
  ]
}

type Row = readonly [Status, ...string[]]

const styles: Readonly<Record<Status, Style>> = {
  ok: 'green',
  missing: 'red',
  'too old': 'red',
  'not ready': 'yellow',
  unknown: 'yellow',
}

const versionRow = ({ of, version, needs, status }: CheckReport['versions'][number]): Row => [
  ...([status, of, version ?? 'nothing tells'] as const),
  `needs ${needs} or later`,
]

const crdRow = ({ name, served, needs, status }: CheckReport['crds'][number]): Row =>
  status === 'ok' ? [status, name, needs] : [status, name, served.join(', ') || '-', `needs ${needs}`]

function controllerRows({ controllers }: CheckReport): Row[] {
  if (controllers === null) return [['unknown', 'these credentials may not list Deployments']]
  if (controllers.length === 0) return [['unknown', 'no Deployment has the labels of Flux or tofu-controller']]
  return controllers.map(({ namespace, name, version, ready, replicas, status }) => [
    ...([status, `${namespace}/${name}`, version ?? 'no version'] as const),
    `${ready} of ${replicas} ready`,
  ])
}

const permissionTitle = ({ permissionsOf }: CheckReport) =>
  permissionsOf === 'groups'
    ? 'Permissions of the groups that Lockstep comes in as'
    : 'Permissions of these credentials'

const permissionRow = (name: string, { granted, count, of }: PermissionLine, without: string): Row => [
  ...([granted ? 'ok' : 'missing', name] as const),
  granted ? 'granted' : `not granted: then ${without}`,
  `${count} of ${of}`,
]

/** Columns as wide as their widest cell; the first one is the status. */
function table(rows: readonly Row[], layout: Layout): string[] {
  const columns = Math.max(...rows.map((row) => row.length))
  const widths = Array.from({ length: columns }, (_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  return rows.map(([status, ...cells]) => {
    const rest = cells.map((cell, at) => `  ${cell.padEnd(widths[at + 1] ?? 0)}`).join('')
    const pieces: Piece[] = [['  '], [status.padEnd(widths[0] ?? 0), styles[status]], [rest.trimEnd()]]
    return lineOf(pieces, layout)
  })
}

/** Sentences, wrapped at blanks: what to type next must not be cut. */
function findings(title: string, style: Style, messages: readonly string[], layout: Layout): string[] {
  if (messages.length === 0) return []
  const lines = messages.flatMap((message) => wrapped(printable(message), layout.width - 4))
  return ['', lineOf([[title, style]], layout), ...lines.map(([text, first]) => `  ${first ? '- ' : '  '}${text}`)]
}

function wrapped(text: string, width: number): [text: string, first: boolean][] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(word)
  }
  return lines.map((line, at) => [line, at === 0])
}
