// kafkajs as the tests drive it: a job a line on stdin, as JSON; on stdout its results, a line each, and then a line
// {"done":true} or {"done":true,"error":...}.
const readline = require('node:readline')
const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = require('kafkajs')
const lz4 = require('lz4js')
const { ZstdCodec } = require('zstd-codec')

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => Buffer.from(lz4.compress(encoder.buffer)),
  decompress: async (buffer) => Buffer.from(lz4.decompress(buffer)),
})

const codecs = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

const emit = (result) => process.stdout.write(JSON.stringify(result) + '\n')
const encode = (bytes) => (bytes === null || bytes === undefined ? null : bytes.toString('base64'))
const decode = (text) => (text === null ? null : Buffer.from(text, 'base64'))

function read(partition, message) {
  const headers = Object.entries(message.headers ?? {}).flatMap(([name, values]) =>
    [values].flat().map((value) => [name, encode(value)]),
  )
  return {
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: encode(message.key),
    value: encode(message.value),
    headers,
  }
}

const client = (job) => new Kafka({ clientId: 'probe', brokers: [job.bootstrap], logLevel: logLevel.ERROR })

// The records of one partition go in one request, so that its base offset tells the offset of each.
async function produce(job) {
  const { codec, ...config } = job.config ?? {}
  const producer = client(job).producer(config)
  await producer.connect()
  const partitions = new Map()
  for (const record of job.records) {
    partitions.set(record.partition, [...(partitions.get(record.partition) ?? []), record])
  }
  for (const [partition, records] of partitions) {
    const messages = records.map((record) => ({
      partition,
      key: decode(record.key),
      value: decode(record.value),
      timestamp: record.timestamp === null ? undefined : String(record.timestamp),
      headers: Object.fromEntries(record.headers.map(([name, value]) => [name, decode(value)])),
    }))
    const [ack] = await producer.send({ topic: job.topic, acks: -1, compression: codecs[codec ?? 'none'], messages })
    records.forEach(({ id, timestamp }, i) => {
      emit({ id, partition, offset: Number(ack.baseOffset) + i, timestamp })
    })
  }
  await producer.disconnect()
}

async function consume(job) {
  const kafka = client(job)
  const consumer = kafka.consumer({ groupId: `probe-${process.pid}-${job.topic}-${job.since}` })
  await consumer.connect()
  await consumer.subscribe({ topic: job.topic, fromBeginning: true })
  const since = job.since ? await offsetsSince(kafka, job) : []
  let missing = job.expect
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    consumer.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        if (Number(message.offset) < (since[partition] ?? 0)) return // read before the seek
        emit(read(partition, message))
        missing -= 1
        if (missing === 0) resolve()
      },
    })
    since.forEach((offset, partition) => consumer.seek({ topic: job.topic, partition, offset: String(offset) }))
  })
  await consumer.disconnect()
}

async function offsetsSince(kafka, job) {
  const admin = kafka.admin()
  await admin.connect()
  const offsets = []
  for (const { partition, offset } of await admin.fetchTopicOffsetsByTimestamp(job.topic, job.since)) {
    offsets[partition] = Number(offset)
  }
  await admin.disconnect()
  return offsets
}

// A member prints a batch once its commit has come through, until SIGTERM.
async function group(job) {
  const consumer = client(job).consumer({ groupId: job.group, ...job.config })
  const stopped = new Promise((resolve) => process.once('SIGTERM', resolve))
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    emit({ assigned: payload.memberAssignment[job.topic] ?? [] })
  })
  await consumer.connect()
  await consumer.subscribe({ topic: job.topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, heartbeat, isRunning, isStale }) => {
      if (!isRunning() || isStale() || batch.messages.length === 0) return
      const offset = String(Number(batch.lastOffset()) + 1)
      await consumer.commitOffsets([{ topic: job.topic, partition: batch.partition, offset }])
      batch.messages.forEach((message) => emit(read(batch.partition, message)))
      await heartbeat()
    },
  })
  await stopped
  await consumer.disconnect()
}

async function administer(job) {
  const admin = client(job).admin()
  const { topic } = job
  await admin.connect()
  await admin.createTopics({
    topics: [{ topic, numPartitions: 3, configEntries: [{ name: 'retention.ms', value: '1000' }] }],
  })
  emit({ created: (await admin.listTopics()).includes(topic) })
  await admin.createPartitions({ topicPartitions: [{ topic, count: 5 }] })
  emit({ partitions: (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length })
  await admin.alterConfigs({ resources: [{ type: 2, name: topic, configEntries: [{ name: 'retention.ms', value: '2000' }] }] })
  const configs = await admin.describeConfigs({ resources: [{ type: 2, name: topic, configNames: ['retention.ms'] }] })
  emit({ 'retention.ms': configs.resources[0].configEntries[0].configValue })
  emit({ state: (await admin.describeGroups([job.group])).groups[0].state })
  const [{ partitions }] = await admin.fetchOffsets({ groupId: job.group })
  emit({ offsets: partitions.reduce((sum, { offset }) => sum + Number(offset), 0) })
  await admin.deleteTopics({ topics: [topic] })
  emit({ deleted: !(await admin.listTopics()).includes(topic) })
  await admin.disconnect()
}

const ops = { admin: administer, produce, consume, group }

async function main() {
  await new Promise((ready) =>
    ZstdCodec.run((zstd) => {
      const codec = new zstd.Streaming() // reads frames that do not tell their size too
      CompressionCodecs[CompressionTypes.ZSTD] = () => ({
        compress: async (encoder) => Buffer.from(codec.compress(encoder.buffer)),
        decompress: async (buffer) => Buffer.from(codec.decompress(buffer)),
      })
      ready()
    }),
  )
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const job = JSON.parse(line)
    const done = { done: true }
    try {
      await ops[job.op](job)
    } catch (failure) {
      done.error = `${failure.name}: ${failure.message}`
    }
    emit(done)
  }
  process.exit(0) // kafkajs may leave timers behind
}

main()
