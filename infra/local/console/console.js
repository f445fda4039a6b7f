// The console of the local host. Everything that it shows comes from clusters and from GitHub: it goes into the page
// as text only, never as markup.

const objectStates = {
  pending: ['·', 'Waits'],
  held: ['‖', 'Held'],
  open: ['▸', 'Reconciles'],
  ready: ['✓', 'Ready'],
  failed: ['✗', 'Failed'],
  gone: ['–', 'Deleted'],
}

const rolloutStates = {
  running: ['open', '▸', 'Running'],
  held: ['held', '‖', 'Held'],
  succeeded: ['ready', '✓', 'Succeeded'],
  failed: ['failed', '✗', 'Failed'],
  superseded: ['pending', '–', 'Superseded'],
  released: ['held', '○', 'Released'],
  aborted: ['failed', '✗', 'Aborted'],
}

const waveStates = {
  waits: ['pending', '·', 'Waits'],
  running: ['open', '▸', 'Rolled out now'],
  done: ['ready', '✓', 'Done'],
  incomplete: ['failed', '✗', 'Incomplete'],
  'not begun': ['pending', '–', 'Not begun'],
}

const executionStates = {
  RUNNING: ['open', '▸', 'Running'],
  SUCCEEDED: ['ready', '✓', 'Succeeded'],
  FAILED: ['failed', '✗', 'Failed'],
  ABORTED: ['failed', '✗', 'Aborted'],
  TIMED_OUT: ['failed', '✗', 'Timed out'],
}

const verdicts = {
  free: ['ready', '✓', 'Free'],
  live: ['open', '▸', 'Live'],
  suspect: ['held', '!', 'Suspect'],
  stale: ['failed', '✗', 'Stale'],
  unknown: ['pending', '?', 'Unknown'],
}

/** Rows of a layer or a history that are shown before somebody asks for more. */
const fewRows = 200

// ---- the page as elements -------------------------------------------------------------------------------------------

const svgTags = new Set(['svg', 'rect'])

/** Makes an element. Children that are no elements become text; undefined and false are left out. */
function h(tag, attributes = {}, ...children) {
  const element = svgTags.has(tag)
    ? document.createElementNS('http://www.w3.org/2000/svg', tag)
    : document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value))
  }
  element.append(...children.flat(2).filter((child) => child !== undefined && child !== false))
  return element
}

/** Makes `current` look like `next` and keeps the elements that stay, so that focus and scrolling do. */
function morph(current, next) {
  if (current.nodeType === Node.TEXT_NODE) {
    if (current.data !== next.data) current.data = next.data
    return
  }
  for (const { name } of [...current.attributes]) if (!next.hasAttribute(name)) current.removeAttribute(name)
  for (const { name, value } of next.attributes) {
    if (current.getAttribute(name) !== value) current.setAttribute(name, value)
  }
  morphChildren(current, next)
}

const keyOf = (node) => node?.dataset?.key

function morphChildren(current, next) {
  const keyed = new Map([...current.children].map((child) => [keyOf(child), child]))
  let place = current.firstChild
  for (const wanted of [...next.childNodes]) {
    const key = keyOf(wanted)
    const match = key === undefined ? place : keyed.get(key)
    if (!match || match.nodeName !== wanted.nodeName || keyOf(match) !== key) {
      current.insertBefore(wanted, place)
      continue
    }
    if (match === place) place = place.nextSibling
    else current.insertBefore(match, place)
    morph(match, wanted)
  }
  while (place) {
    const rest = place.nextSibling
    place.remove()
    place = rest
  }
}

// ---- what is shown --------------------------------------------------------------------------------------------------

/** The host's clock may run faster than ours: its time when the answer came, and how fast it goes on. */
let time = { now: Date.now(), speed: 1, at: performance.now() }
const hostNow = () => time.now + (performance.now() - time.at) * time.speed

/** The address's page, what was last loaded for it, and what a person has opened or closed. */
let page = pageOf(location.hash)
let data
let problem
/** Why the last thing that a person did was refused. */
let refusal
const toggled = new Map()
const busy = new Set()

function pageOf(hash) {
  const parts = hash.replace(/^#\/?/, '').split('/').map(decode)
  if (parts[0] === 'rollouts' && parts[1]) return { name: 'rollout', id: parts[1] }
  if (parts[0] === 'locks') return parts[1] ? { name: 'lock', id: parts[1] } : { name: 'locks' }
  if (parts[0] === 'executions' && parts[2]) return { name: 'execution', machine: parts[1], id: parts[2] }
  return { name: parts[0] === 'executions' ? 'executions' : 'rollouts' }
}

function decode(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return ''
  }
}

const path = (...parts) => parts.map(encodeURIComponent).join('/')
const rolloutAddress = (id) => `#/${path('rollouts', id)}`
const lockAddress = (key) => `#/${path('locks', key)}`
const executionAddress = ({ machine, name }) => `#/${path('executions', machine, name)}`

function apiOf({ name, machine, id }) {
  if (name === 'rollout') return `/api/${path('rollouts', id)}`
  if (name === 'lock') return `/api/${path('locks', id)}`
  if (name === 'execution') return `/api/${path('executions', machine, id)}`
  return `/api/${name}`
}

/** Whether a message of the host concerns what is on the page. */
function concerns({ rollouts, executions }) {
  if (!rollouts || page.name === 'executions') return true
  if (page.name === 'rollouts') return rollouts.length > 0 || executions.some((arn) => /:fleet:/.test(arn))
  if (page.name === 'locks' || page.name === 'lock')
    return executions.some((arn) => /:(lock-scan|guarded-unlock):/.test(arn))
  if (page.name === 'rollout') return rollouts.includes(page.id)
  return executions.some((arn) => arn === data?.execution?.executionArn || data?.children?.some(isNamed(arn)))
}

const isNamed = (arn) => (child) => arn.endsWith(`:${child.machine}:${child.name}`)

// ---- loading --------------------------------------------------------------------------------------------------------

let loading = false
let again = false
const pauseMs = 200

/** Loads the page's data: one request at a time, a few a second at most. */
async function load() {
  again = true
  if (loading) return
  loading = true
  while (again) {
    again = false
    const wanted = page
    try {
      const response = await fetch(apiOf(wanted))
      const answer = await response.json()
      if (wanted !== page) {
        again = true
        continue
      }
      problem = response.ok ? undefined : answer.error
      data = response.ok ? answer : undefined
      if (response.ok) time = { now: answer.now, speed: answer.speed, at: performance.now() }
    } catch {
      // The stream of events tells that the host is gone, and loads again when it is back.
    }
    render()
    await new Promise((done) => setTimeout(done, pauseMs))
  }
  loading = false
}

/** Answers what the host says, or undefined where it refuses. */
async function post(address, subject, body) {
  busy.add(subject)
  render()
  let answer
  try {
    const response = await fetch(address, { method: 'POST', ...(body && { body: JSON.stringify(body) }) })
    const said = await response.json()
    refusal = response.ok ? undefined : said.error
    answer = response.ok ? said : undefined
  } catch {
    refusal = 'The local host does not answer.'
  }
  busy.delete(subject)
  load()
  return answer
}

function announce(text) {
  const element = document.getElementById('connection')
  if (element.textContent !== text) element.textContent = text
}

function listen() {
  const events = new EventSource('/api/events')
  events.onopen = () => announce('● Live')
  events.onmessage = (event) => {
    if (concerns(JSON.parse(event.data))) load()
  }
  events.onerror = () => {
    announce('○ Not connected, trying again…')
    // The browser tries again by itself unless it was refused.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 2_000)
  }
}

// ---- pages ----------------------------------------------------------------------------------------------------------

function render() {
  const views = {
    ...{ rollouts: rolloutsPage, rollout: rolloutPage },
    ...{ locks: locksPage, lock: lockPage },
    ...{ executions: executionsPage, execution: executionPage },
  }
  const main = document.getElementById('main')
  const next = h('main', { id: 'main', tabindex: '-1' })
  if (problem !== undefined) next.append(h('p', { class: 'empty' }, problem))
  else if (data === undefined) next.append(h('p', { class: 'empty' }, 'Loading…'))
  else next.append(...refusalNotice(), ...views[page.name](data))
  morph(main, next)
  document.title = `${titleOf()} · Lockstep`
  for (const link of document.querySelectorAll('[data-section]')) {
    if (page.name.startsWith(link.dataset.section.slice(0, -1))) link.setAttribute('aria-current', 'page')
    else link.removeAttribute('aria-current')
  }
}

const refusalNotice = () =>
  refusal === undefined
    ? []
    : [h('div', { class: 'card notice bad', role: 'alert', 'data-key': 'refusal' }, h('p', {}, refusal))]

function titleOf() {
  if (page.name === 'rollout')
    return data?.rollout ? `${data.rollout.cluster} ${shortCommit(data.rollout.commit)}` : 'Rollout'
  if (page.name === 'execution') return `${page.machine} ${page.id}`
  if (page.name === 'lock') return data?.lock ? `Lock of ${lockedBy(data.lock)}` : 'Lock'
  return { executions: 'Executions', locks: 'Locks' }[page.name] ?? 'Rollouts'
}

function rolloutsPage({ pushes, rollouts, speed }) {
  const rows = rollouts.map((rollout) => {
    const { id, cluster, repository, branch, commit, pusher, status, layers, startedAt, endedAt } = rollout
    return h(
      'tr',
      { 'data-key': id },
      h('td', { class: 'tight' }, h('a', { href: rolloutAddress(id) }, cluster)),
      h(
        'td',
        {},
        h('code', {}, shortCommit(commit)),
        h('div', { class: 'quiet' }, `${repository} ${branch}, by ${pusher}`),
      ),
      h('td', {}, badge(rolloutStates[status])),
      h('td', {}, progress(layers), h('div', { class: 'quiet' }, progressText(layers))),
      h('td', { class: 'number' }, duration((endedAt ?? hostNow()) - startedAt)),
      h('td', { class: 'number' }, clockTime(startedAt)),
    )
  })
  return [
    h('div', { class: 'head' }, h('h1', {}, 'Rollouts'), simulated(speed)),
    ...pushes.map(wavesCard),
    h(
      'div',
      { class: 'card scroll', 'data-key': 'rollouts' },
      rows.length === 0
        ? h('p', { class: 'empty' }, 'No push has arrived yet. Deliver one to POST /webhook.')
        : table('Rollouts, newest first', ['Cluster', 'Commit', 'Status', 'Layers', '#Took', '#Started'], rows),
    ),
  ]
}

/** The waves of one push, and what each waits for. */
function wavesCard({ delivery, repository, branch, commit, waves }) {
  const rows = waves.map(({ number, clusters, after, phase, succeeded, message }) =>
    h(
      'tr',
      { 'data-key': number },
      h('td', { class: 'tight' }, `Wave ${number}`),
      h('td', {}, fewOf(clusters)),
      h('td', {}, badge(waveStates[phase])),
      h(
        'td',
        {},
        phase === 'waits' && after.length > 0 && `for ${fewOf(after)}`,
        succeeded !== undefined && `${succeeded} of ${clusters.length} succeeded`,
        phase === 'incomplete' && message !== undefined && h('div', { class: 'quiet' }, message),
      ),
    ),
  )
  const title = `Waves of ${shortCommit(commit)}`
  return h(
    'section',
    { class: 'card scroll', 'aria-label': title, 'data-key': `waves-${delivery}` },
    h(
      'h2',
      {},
      h('a', { href: executionAddress({ machine: 'fleet', name: delivery }) }, title),
      h('span', { class: 'quiet' }, ` ${repository} ${branch}`),
    ),
    table(title, ['Wave', 'Clusters', 'Status', 'Result'], rows),
  )
}

/** `a, b, c and 497 more` */
const fewOf = (names) =>
  names.length <= 5 ? names.join(', ') : `${names.slice(0, 5).join(', ')} and ${names.length - 5} more`

function rolloutPage({ rollout, speed }) {
  const { id, cluster, repository, branch, commit, pusher, status, state, startedAt, endedAt, layers, notes } = rollout
  const delivery = id.slice(0, Math.max(0, id.length - cluster.length - 1))
  return [
    h('p', { class: 'crumbs' }, h('a', { href: '#/rollouts' }, 'Rollouts'), ' / ', id),
    h(
      'div',
      { class: 'head' },
      h('h1', {}, `${cluster} to ${shortCommit(commit)}`),
      h('span', { role: 'status' }, badge(rolloutStates[status])),
      simulated(speed),
    ),
    ...noticesOf(rollout),
    h(
      'section',
      { class: 'card', 'aria-label': 'Facts', 'data-key': 'facts' },
      facts([
        ['Repository', `${repository} ${branch}`],
        ['Commit', h('code', {}, commit)],
        ['Pushed by', pusher],
        ['Started', clockTime(startedAt)],
        ['Took', duration((endedAt ?? hostNow()) - startedAt)],
        ['Step', state ?? '-'],
        ['Execution', h('a', { href: executionAddress({ machine: 'rollout', name: id }) }, 'History of this rollout')],
        [
          'Started by',
          h('a', { href: executionAddress({ machine: 'fleet', name: delivery }) }, 'Rollout of the whole fleet'),
        ],
      ]),
    ),
    h(
      'section',
      { class: 'card', 'data-key': 'layers' },
      h('h2', {}, 'Layers'),
      layers.length === 0
        ? h('p', { class: 'empty' }, 'There is no plan yet.')
        : [layerTitles(), ...layers.map((layer, index) => layerSection(rollout, layer, layers.slice(0, index)))],
    ),
    notes.length > 0 &&
      h(
        'section',
        { class: 'card', 'data-key': 'notes' },
        h('h2', {}, 'Notes'),
        h('ul', { class: 'notes' }, ...notes.map((note) => h('li', {}, note))),
      ),
  ].filter(Boolean)
}

function noticesOf({ id, status, failure, trouble, layers }) {
  const notices = []
  if (status === 'held') {
    const held = layers.reduce((sum, { counts }) => sum + counts.held, 0)
    const text =
      held === 0
        ? 'What has failed is tried again by its controller. The rollout waits for that until its time is over.'
        : `${held} ${held === 1 ? 'object is' : 'objects are'} held behind what has failed. The rollout goes on when ` +
          'that recovers, and ends when a newer push arrives or the gates are released. ' +
          'Released objects reconcile at once, in no order.'
    const release = { class: 'button', type: 'button', 'data-action': 'release', 'data-id': id, disabled: busy.has(id) }
    notices.push(
      h(
        'div',
        { class: 'card notice', 'data-key': 'held' },
        h('p', {}, text),
        h('button', release, held === 0 ? 'Stop waiting' : 'Release the gates'),
      ),
    )
  }
  if (trouble)
    notices.push(h('div', { class: 'card notice', 'data-key': 'trouble' }, h('p', {}, `Tried again: ${trouble}`)))
  if (failure) notices.push(h('div', { class: 'card notice bad', 'data-key': 'failure' }, h('p', {}, failure)))
  return notices
}

function layerTitles() {
  const titles = [
    ['', ''],
    ['', 'State'],
    ['', 'Layer'],
    ['counts', 'Objects'],
    ['when', 'When'],
    ['number', 'Took'],
    ['number idle', time.speed === 1 ? 'Idle before' : 'Idle (real time)'],
  ]
  return h(
    'div',
    { class: 'layer-head titles', 'aria-hidden': 'true' },
    ...titles.map(([name, text]) => h('span', { class: name }, text)),
  )
}

function layerSection(rollout, layer, before) {
  const { index, name, phase, openedAt, settledAt } = layer
  const key = `layer ${rollout.id} ${index}`
  const isOpen = toggled.get(key) ?? (phase === 'open' || phase === 'failed')
  const end = settledAt ?? hostNow()
  const body = `objects-${index}`
  const idle = idleBefore(layer, before)
  const toggle = { class: 'layer-head', type: 'button', 'data-action': 'toggle', 'data-id': key }
  return h(
    'div',
    { class: 'layer', 'data-key': key },
    h(
      'button',
      { ...toggle, 'data-open': isOpen ? 'yes' : 'no', 'aria-expanded': String(isOpen), 'aria-controls': body },
      h('span', { 'aria-hidden': 'true' }, isOpen ? '▾' : '▹'),
      stateOf(phase),
      h('span', { class: 'name' }, name),
      h('span', { class: 'counts quiet' }, countsText(layer)),
      h('span', { class: 'when' }, openedAt === undefined ? '' : span(rollout, openedAt, end, phase)),
      h('span', { class: 'number' }, openedAt === undefined ? '' : duration(end - openedAt)),
      h('span', { class: 'number idle quiet' }, idle === undefined ? '' : duration(idle / time.speed)),
    ),
    h('div', { class: 'layer-body scroll', id: body, hidden: !isOpen }, isOpen && objectTable(layer, key)),
  )
}

/** The time without work between the last object that was ready before and this layer's opening. */
function idleBefore({ openedAt }, before) {
  if (openedAt === undefined) return undefined
  const times = before.flatMap(({ objects }) => objects.map(({ settledAt }) => settledAt))
  const latest = times.reduce((max, at) => (at !== undefined && at <= openedAt && at > max ? at : max), -1)
  return latest < 0 ? undefined : openedAt - latest
}

/** What a person looks for comes first; the rest keeps its place until there is too much of it. */
const failedFirst = [['failed'], ['open', 'held', 'pending', 'ready', 'gone']]
const byPhase = ['failed', 'open', 'held', 'pending', 'ready', 'gone'].map((phase) => [phase])

function objectTable({ name, objects }, key) {
  const all = toggled.get(`all ${key}`)
  const crowded = objects.length > fewRows && !all
  const order = crowded ? byPhase : failedFirst
  const ordered = order.flatMap((phases) => objects.filter(({ phase }) => phases.includes(phase)))
  const shown = crowded ? ordered.slice(0, fewRows) : ordered
  const rows = shown.map(({ key: object, phase, detail, why, openedAt, settledAt }) =>
    h(
      'tr',
      { 'data-key': object },
      h('td', {}, stateOf(phase)),
      h('td', { class: 'key' }, object),
      h('td', { class: 'detail' }, [why, detail].filter(Boolean).join(' — ')),
      h('td', { class: 'number' }, openedAt === undefined ? '' : duration((settledAt ?? hostNow()) - openedAt)),
    ),
  )
  return [
    table(`Objects of layer ${name}`, ['State', 'Object', 'What its controller says', '#Took'], rows),
    crowded &&
      h(
        'div',
        { class: 'more' },
        h(
          'button',
          { class: 'plain', type: 'button', 'data-action': 'all', 'data-id': key },
          `Show all ${objects.length} objects`,
        ),
      ),
  ]
}

function locksPage({ locks, findings, approvals, scannedAt, speed }) {
  const rows = locks.map((lock) =>
    h(
      'tr',
      { 'data-key': lock.key },
      h(
        'td',
        { class: 'tight' },
        badge(verdicts[lock.verdict]),
        lock.scene && h('div', { class: 'quiet' }, lock.scene),
      ),
      h(
        'td',
        { class: 'key' },
        h('a', { href: lockAddress(lock.key) }, lockedBy(lock)),
        lock.cluster !== undefined && h('div', { class: 'quiet' }, lock.cluster),
      ),
      h('td', {}, lock.who || '-', h('div', { class: 'quiet' }, lock.operation ?? '')),
      h('td', { class: 'detail' }, lock.reasons.join('; ')),
      h('td', { class: 'number' }, duration(hostNow() - lock.since)),
    ),
  )
  const looked = scannedAt === undefined ? 'no scan has ended yet' : `looked at ${duration(hostNow() - scannedAt)} ago`
  return [
    h('div', { class: 'head' }, h('h1', {}, 'Locks'), h('span', { class: 'quiet' }, looked), simulated(speed)),
    ...approvals.map(approvalCard),
    h(
      'div',
      { class: 'card scroll' },
      rows.length === 0
        ? h('p', { class: 'empty' }, scannedAt === undefined ? 'The first scan is under way.' : 'No lock is held.')
        : table('Locks, what needs a person first', ['Verdict', 'State of', 'Held by', 'Why', '#For'], rows),
    ),
    findings.length > 0 && findingsCard(findings),
  ].filter(Boolean)
}

/** What waits for people. Whoever sits here may decide as any of them. */
function approvalCard(approval) {
  const { id, needed, decisions, people, expiresAt, judged } = approval
  const { title, rows, content = [] } = subjects[approval.kind](approval)
  const made = decisions.map(({ by, decision }) => `${by}: ${decision}`).join(', ') || 'nobody has decided yet'
  const deciding = people.map(({ name, page: address }) => {
    const button = (decision, label) =>
      h(
        'button',
        {
          ...{ class: 'button', type: 'button', 'data-action': 'decide', 'data-id': id, 'data-as': name },
          ...{ 'data-decision': decision, 'data-judged': judged, disabled: busy.has(id) },
        },
        label,
      )
    return h(
      'li',
      { class: 'person', 'data-key': name },
      h('strong', {}, name),
      button('approve', `Approve as ${name}`),
      button('deny', `Deny as ${name}`),
      h('a', { href: address }, `Page of ${name}`),
    )
  })
  return h(
    'section',
    { class: 'card', 'data-key': `approval ${id}`, 'aria-label': title },
    h('h2', {}, title),
    facts([
      ...rows,
      ['Approvals', `${decisions.length} of ${needed}: ${made}`],
      ['Time left', duration(Math.max(0, expiresAt - hostNow()))],
    ]),
    ...content,
    h('ul', { class: 'people' }, ...deciding),
  )
}

/** What is special about each kind of approval. */
const subjects = {
  unlock: ({ id, object, cluster, place, rung, requestedBy, reason }) => ({
    title: `Unlock ${object} in ${cluster}?`,
    rows: [
      ['Asked by', requestedBy],
      ['Because', reason],
      ['Rung', rung],
      ['Evidence', h('a', { href: lockAddress(place) }, 'What is known of the lock')],
      [
        'Execution',
        h('a', { href: executionAddress({ machine: 'guarded-unlock', name: id }) }, 'History of this unlock'),
      ],
    ],
  }),
  plan: ({ object, cluster, plan, requestedBy, rollout, shown }) => ({
    title: `Apply the plan of ${object} in ${cluster}?`,
    rows: [
      ['Pushed by', requestedBy],
      ['Plan', plan],
      ['Changes', planText(shown)],
      ['Rollout', h('a', { href: executionAddress({ machine: 'rollout', name: rollout }) }, 'History of this rollout')],
    ],
    content: destroyedList(shown),
  }),
  wave: ({ branch, commit, wave, waves, clusters, clusterCount, requestedBy, before }) => ({
    title: `Roll out ${commit.slice(0, 12)} to wave ${wave} of ${waves}?`,
    rows: [
      ['Pushed by', requestedBy],
      ['Branch', branch],
      ['Clusters', `${clusterCount}: ${clusters.join(', ')}`],
      ['Before it', `${before.succeeded} succeeded, ${before.failed} failed, ${before.other} ended otherwise`],
    ],
  }),
}

function planText({ counts, missing } = {}) {
  if (!counts) return missing ?? 'not known'
  return `${counts.add} to add, ${counts.change} to change, ${counts.destroy} to destroy`
}

/** What cannot be undone stands out. */
function destroyedList({ changes = [], destroysAll = false } = {}) {
  const gone = changes.filter(({ action }) => action === 'delete' || action === 'replace')
  if (!destroysAll && gone.length === 0) return []
  const items = gone.map(({ address, action }) =>
    h('li', { 'data-key': address }, `${address} is ${action === 'delete' ? 'destroyed' : 'destroyed and made anew'}`),
  )
  const what = destroysAll
    ? 'This plan destroys everything that the object manages.'
    : 'This plan destroys or replaces:'
  return [h('div', { class: 'destroys', role: 'alert' }, h('strong', {}, what), h('ul', {}, ...items))]
}

function findingsCard(findings) {
  const rows = findings.map(({ subject, cluster, why }) =>
    h('tr', {}, h('td', { class: 'key' }, subject), h('td', {}, cluster ?? ''), h('td', { class: 'detail' }, why)),
  )
  return h(
    'section',
    { class: 'card scroll', 'data-key': 'findings' },
    h('h2', {}, 'Beside the locks'),
    table('What scans found beside locks', ['What', 'Cluster', 'Why'], rows),
  )
}

/** What is locked: an object, or a place that is no object's. */
const lockedBy = ({ object, addresses, key }) => object ?? addresses[0] ?? key

function lockPage({ lock, approvals, unlock, speed }) {
  const { key, id, cluster, addresses, who, operation, created, verdict, scene, rule, since, seenAt, explanation } =
    lock
  const { banner, reasons, wouldChange, evidence, nextStep } = explanation
  return [
    h('p', { class: 'crumbs' }, h('a', { href: '#/locks' }, 'Locks'), ' / ', id ?? key),
    h(
      'div',
      { class: 'head' },
      h('h1', {}, lockedBy(lock)),
      h('span', { role: 'status' }, badge(verdicts[verdict])),
      simulated(speed),
      (verdict === 'stale' || verdict === 'suspect') && approvals.length === 0 && unlockButton(key),
    ),
    ...approvals.map(approvalCard),
    unlock !== undefined && unlockCard(unlock),
    h(
      'div',
      { class: verdict === 'stale' ? 'card notice bad' : 'card notice', 'data-key': 'banner' },
      h('p', {}, banner),
    ),
    h(
      'section',
      { class: 'card', 'data-key': 'verdict' },
      h('h2', {}, scene === undefined ? `Why it is ${verdict}` : `Why it is ${verdict}: a ${scene}`),
      h(
        'ul',
        { class: 'notes' },
        ...reasons.map((reason) => h('li', {}, reason)),
        h('li', {}, `It changes when: ${wouldChange}.`),
        h('li', {}, h('strong', {}, 'Next: '), nextStep),
      ),
      facts([
        ['Rule', h('code', {}, rule)],
        ['For', duration(hostNow() - since)],
        ['Looked at', `${duration(hostNow() - seenAt)} ago`],
      ]),
    ),
    h(
      'section',
      { class: 'card scroll', 'data-key': 'evidence' },
      h('h2', {}, 'Evidence'),
      table('Evidence, each piece with its source', ['What', 'Found', 'Source', '#Read at'], evidence.map(evidenceRow)),
    ),
    h(
      'section',
      { class: 'card', 'aria-label': 'Facts', 'data-key': 'facts' },
      facts([
        ['Lock', h('code', {}, id ?? '-')],
        ['Where', addresses.map((address) => h('div', {}, h('code', {}, address)))],
        ['Cluster', cluster ?? '-'],
        ['Held by', who || '-'],
        ['Operation', operation ?? '-'],
        ["Taken, by the holder's clock", created ?? '-'],
        ['On the command line', h('code', {}, `npm run locks -- explain ${id?.slice(0, 8) ?? key}`)],
      ]),
    ),
  ].filter(Boolean)
}

/** The latest unlock of a lock: how far it is, or how it ended, and what is on record of it. */
function unlockCard({ unlock, status, startedAt, steps, run = {}, error, cause, audit }) {
  const { rung, outcome, why } = run
  const ended = [outcome ?? error, why ?? cause].filter(Boolean).join(': ')
  const rows = audit.map(({ at, what, by, to }, index) =>
    h(
      'tr',
      { 'data-key': String(index) },
      h('td', { class: 'number quiet' }, `+${duration(at - startedAt)}`),
      h('td', {}, what),
      h('td', { class: 'detail' }, to),
      h('td', { class: 'quiet' }, by),
    ),
  )
  return h(
    'section',
    { class: 'card scroll', 'data-key': 'unlock' },
    h('h2', {}, 'Guarded unlock'),
    facts([
      ['Execution', executionLink({ machine: 'guarded-unlock', name: unlock, status })],
      ['Way', rung ?? 'not chosen yet'],
      status === 'RUNNING' ? ['Where it is', steps.at(-1)?.name ?? '-'] : ['How it ended', ended],
    ]),
    table('What is on record of the unlock', ['#After', 'What', 'To', 'By'], rows),
  )
}

function unlockButton(key) {
  const unlock = { class: 'button', type: 'button', 'data-action': 'unlock', 'data-id': key, disabled: busy.has(key) }
  return h('span', { class: 'actions' }, h('button', unlock, 'Unlock under guard'))
}

function evidenceRow({ what, found, source, readAt }) {
  return h(
    'tr',
    {},
    h('td', { class: 'tight' }, what),
    h('td', {}, found),
    h('td', { class: 'detail' }, source),
    h('td', { class: 'number quiet' }, clockTime(readAt)),
  )
}

function executionsPage({ executions, speed }) {
  const rows = executions.map((execution) => {
    const { machine, name, status, startDate, stopDate, transitions } = execution
    const started = Date.parse(startDate)
    return h(
      'tr',
      { 'data-key': `${machine}/${name}` },
      h('td', { class: 'key' }, h('a', { href: executionAddress(execution) }, name)),
      h('td', {}, machine),
      h('td', {}, badge(executionStates[status])),
      h('td', { class: 'number' }, clockTime(started)),
      h('td', { class: 'number' }, duration((stopDate ? Date.parse(stopDate) : hostNow()) - started)),
      h('td', { class: 'number' }, String(transitions)),
    )
  })
  return [
    h('div', { class: 'head' }, h('h1', {}, 'Executions'), simulated(speed)),
    h(
      'div',
      { class: 'card scroll' },
      rows.length === 0
        ? h('p', { class: 'empty' }, 'Nothing has been executed yet.')
        : table(
            'Executions, newest first',
            ['Name', 'State machine', 'Status', '#Started', '#Took', '#Transitions'],
            rows,
          ),
    ),
  ]
}

function executionPage({ execution, parent, children, events, speed }) {
  const { machine, name, executionArn, status, startDate, stopDate, input, output, error, cause, transitions } =
    execution
  const started = Date.parse(startDate)
  const stop = { class: 'button', type: 'button', 'data-action': 'stop', 'data-machine': machine, 'data-id': name }
  return [
    h('p', { class: 'crumbs' }, h('a', { href: '#/executions' }, 'Executions'), ` / ${machine}`),
    h(
      'div',
      { class: 'head' },
      h('h1', {}, name),
      h('span', { role: 'status' }, badge(executionStates[status])),
      simulated(speed),
      status === 'RUNNING' &&
        h('span', { class: 'actions' }, h('button', { ...stop, disabled: busy.has(name) }, 'Stop execution')),
    ),
    error !== undefined &&
      h(
        'div',
        { class: 'card notice bad', 'data-key': 'failure' },
        h('p', {}, [error, cause].filter(Boolean).join(': ')),
      ),
    h(
      'section',
      { class: 'card', 'aria-label': 'Facts', 'data-key': 'facts' },
      facts([
        ['State machine', machine],
        ['Started', clockTime(started)],
        ['Took', duration((stopDate ? Date.parse(stopDate) : hostNow()) - started)],
        ['State transitions', String(transitions)],
        ['ARN', h('code', {}, executionArn)],
        ...(machine === 'rollout' ? [['Rollout', h('a', { href: rolloutAddress(name) }, 'Layers and objects')]] : []),
        // The name of an unlock begins with the place of its lock.
        ...(machine === 'guarded-unlock'
          ? [['Lock', h('a', { href: lockAddress(name.split('-')[0]) }, 'What is known of the lock')]]
          : []),
        ...(parent ? [['Started by', executionLink(parent)]] : []),
        ...(children.length > 0 ? [['Has started', children.map((child) => h('div', {}, executionLink(child)))]] : []),
      ]),
    ),
    history(events, started),
    h(
      'section',
      { class: 'card', 'data-key': 'input' },
      h('h2', {}, 'Input'),
      h('pre', { tabindex: '0' }, pretty(input)),
    ),
    output !== undefined &&
      h(
        'section',
        { class: 'card', 'data-key': 'output' },
        h('h2', {}, 'Output'),
        h('pre', { tabindex: '0' }, pretty(output)),
      ),
  ].filter(Boolean)
}

function executionLink({ machine, name, status }) {
  const [state, symbol] = executionStates[status]
  return [
    h('span', { class: `is-${state}` }, `${symbol} `),
    h('a', { href: executionAddress({ machine, name }) }, `${machine}: ${name}`),
  ]
}

function history(events, started) {
  const steps = stepsOf(events)
  const all = toggled.get(`events ${page.id}`)
  const shown = all ? events : events.slice(0, fewRows)
  const rows = shown.flatMap((event) => eventRows(event, steps.get(event.id), started))
  return h(
    'section',
    { class: 'card', 'data-key': 'history' },
    h('h2', {}, `Events (${events.length})`),
    h(
      'div',
      { class: 'scroll' },
      table('Events of this execution', ['#ID', 'Type', 'Step', 'Resource', '#After start', '#Time', ''], rows),
    ),
    shown.length < events.length &&
      h(
        'div',
        { class: 'more' },
        h('button', { class: 'plain', type: 'button', 'data-action': 'events' }, `Show all ${events.length} events`),
      ),
  )
}

/** The state that each event belongs to: the one that was entered last on its chain of events. */
function stepsOf(events) {
  const steps = new Map()
  const left = new Set()
  for (const event of events) {
    const named = (event.stateEnteredEventDetails ?? event.stateExitedEventDetails)?.name
    const before = left.has(event.previousEventId) ? undefined : steps.get(event.previousEventId)
    steps.set(event.id, named ?? before)
    if (event.stateExitedEventDetails) left.add(event.id)
  }
  return steps
}

function eventRows(event, step, started) {
  const { id, previousEventId, type, timestamp, ...details } = event
  const key = `event ${page.id} ${id}`
  const isOpen = toggled.get(key) ?? false
  const [, found = {}] = Object.entries(details)[0] ?? []
  const tone = /Failed|Aborted|TimedOut/.test(type) ? 'is-failed' : /Succeeded$/.test(type) ? 'is-ready' : ''
  const at = Date.parse(timestamp)
  const toggle = {
    class: 'plain',
    type: 'button',
    'data-action': 'toggle',
    'data-id': key,
    'data-open': isOpen ? 'yes' : 'no',
  }
  const row = h(
    'tr',
    { 'data-key': key },
    h('td', { class: 'number' }, String(id)),
    h('td', { class: tone }, type),
    h('td', {}, step ?? ''),
    h('td', { class: 'quiet' }, resourceText(found)),
    h('td', { class: 'number' }, duration(at - started)),
    h('td', { class: 'number quiet' }, clockTime(at)),
    h(
      'td',
      { class: 'tight' },
      h(
        'button',
        { ...toggle, 'aria-expanded': String(isOpen), 'aria-label': `Details of event ${id}` },
        isOpen ? 'Less' : 'Details',
      ),
    ),
  )
  if (!isOpen) return [row]
  return [
    row,
    h(
      'tr',
      { 'data-key': `${key} details` },
      h('td', { colspan: '7' }, h('pre', { tabindex: '0' }, pretty({ previousEventId, ...details }))),
    ),
  ]
}

function resourceText({ resourceType, resource, parameters }) {
  if (!resourceType) return ''
  const called = readJson(parameters)?.FunctionName ?? readJson(parameters)?.Name
  return [`${resourceType}:${resource}`, typeof called === 'string' ? called : ''].filter(Boolean).join(' ')
}

// ---- pieces ---------------------------------------------------------------------------------------------------------

/** A title that begins with # is of a column of numbers. */
function table(caption, titles, rows) {
  const head = titles.map((title) =>
    title.startsWith('#')
      ? h('th', { scope: 'col', class: 'number' }, title.slice(1))
      : h('th', { scope: 'col' }, title),
  )
  return h('table', {}, h('caption', {}, caption), h('thead', {}, h('tr', {}, ...head)), h('tbody', {}, ...rows))
}

const facts = (list) =>
  h('dl', { class: 'facts' }, ...list.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))))

const badge = ([state, symbol, word]) =>
  h('span', { class: `state is-${state}` }, h('span', { class: 'symbol', 'aria-hidden': 'true' }, symbol), word)

const stateOf = (phase) => badge([phase, ...objectStates[phase]])

const simulated = (speed) => speed !== 1 && h('span', { class: 'quiet' }, `simulated, time runs ${speed} times as fast`)

function progress(layers) {
  const share = 100 / Math.max(1, layers.length)
  const bars = layers.map(({ phase }, index) =>
    h('rect', { class: `is-${phase}`, x: index * share, y: 0, width: Math.max(0, share - 1), height: 8 }),
  )
  return h(
    'svg',
    { class: 'progress', viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    ...bars,
  )
}

function progressText(layers) {
  if (layers.length === 0) return 'no plan yet'
  const ready = layers.filter(({ phase }) => phase === 'ready').length
  const current = layers.find(({ phase }) => phase === 'failed' || phase === 'open')
  const what = current ? `, ${current.name}: ${objectStates[current.phase][1].toLowerCase()}` : ''
  return `${ready} of ${layers.length} ready${what}`
}

/** When a layer ran, on the rollout's own line of time. */
function span({ startedAt, endedAt }, from, to, phase) {
  const total = Math.max(1, (endedAt ?? hostNow()) - startedAt)
  const x = Math.min(99, ((from - startedAt) / total) * 100)
  const width = Math.max(1, Math.min(100 - x, ((to - from) / total) * 100))
  return h(
    'svg',
    { class: 'progress', viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    h('rect', { x: 0, y: 3, width: 100, height: 2 }),
    h('rect', { class: `is-${phase}`, x: x.toFixed(2), y: 0, width: width.toFixed(2), height: 8 }),
  )
}

function countsText({ counts, objects }) {
  const others = ['failed', 'open', 'held', 'pending', 'gone']
    .filter((phase) => counts[phase] > 0)
    .map((phase) => `${counts[phase]} ${objectStates[phase][1].toLowerCase()}`)
  return [`${counts.ready} of ${objects.length} ready`, ...others].join(', ')
}

const shortCommit = (commit) => commit.slice(0, 7)

function duration(ms) {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 59_950) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`
  const minutes = Math.round(seconds / 60)
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`
}

function clockTime(ms) {
  const date = new Date(ms)
  const isToday = date.toDateString() === new Date(hostNow()).toDateString()
  return isToday ? date.toLocaleTimeString() : date.toLocaleString()
}

function readJson(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** JSON in JSON, as histories have it, is laid out too. */
function pretty(value) {
  const read = typeof value === 'string' ? (readJson(value) ?? value) : value
  return JSON.stringify(
    read,
    (_key, inner) => (typeof inner === 'string' && /^[{[]/.test(inner) ? (readJson(inner) ?? inner) : inner),
    2,
  )
}

// ---- what a person does ---------------------------------------------------------------------------------------------

const actions = {
  toggle: ({ id, open }) => toggled.set(id, open !== 'yes'),
  all: ({ id }) => toggled.set(`all ${id}`, true),
  events: () => toggled.set(`events ${page.id}`, true),
  skip: () => document.getElementById('main').focus(),
  release: ({ id }) => {
    if (!confirm('Stop waiting? What is held reconciles at once, in no order, and the rollout ends.')) return
    post(`/api/${path('rollouts', id)}/release`, id)
  },
  decide: ({ id, as, decision, judged }) => {
    const reason = prompt(`Why does ${as} ${decision}? It is kept in the record.`)
    if (reason === null) return
    post(`/api/${path('approvals', id)}`, id, { as, decision, judged, reason })
  },
  unlock: async ({ id }) => {
    const reason = prompt('Why is it unlocked? It is kept in the record.')
    if (reason === null) return
    const answer = await post(`/api/${path('locks', id)}/unlock`, id, { reason })
    if (answer) location.hash = executionAddress({ machine: 'guarded-unlock', name: answer.unlock })
  },
  stop: ({ machine, id }) => {
    const after =
      machine === 'guarded-unlock' ? 'What it has changed is put back.' : 'The gates that it has closed are opened.'
    if (!confirm(`Stop this execution? ${after}`)) return
    post(`/api/${path('executions', machine, id)}/stop`, id)
  },
}

document.addEventListener('click', (event) => {
  const target = event.target.closest?.('[data-action]')
  if (!target || target.disabled) return
  if (target.tagName === 'A') event.preventDefault()
  actions[target.dataset.action](target.dataset)
  render()
})

addEventListener('hashchange', () => {
  page = pageOf(location.hash)
  data = undefined
  problem = undefined
  refusal = undefined
  render()
  document.getElementById('main').focus()
  scrollTo(0, 0)
  load()
})

// Elapsed times go on while nothing else happens.
setInterval(() => {
  if (!document.hidden && data !== undefined && isMoving()) render()
}, 500)

function isMoving() {
  if (page.name === 'locks' || page.name === 'lock') return true
  const live = ({ status }) => status === 'running' || status === 'held' || status === 'RUNNING'
  const shown = data.rollouts ?? data.executions ?? [data.rollout ?? data.execution]
  return shown.some(live)
}

listen()
load()
