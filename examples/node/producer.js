// Sends readings to sensor_topic and prints where each one went. The argument says how many; 10 if not given.
const { Kafka } = require('kafkajs')

const kafka = new Kafka({
  clientId: 'sensor',
  brokers: [process.env.BOOTSTRAP ?? '127.0.0.1:9092'],
})

async function main() {
  const count = Number(process.argv[2] ?? 10)
  const producer = kafka.producer()
  await producer.connect()
  try {
    for (let i = 0; i < count; i++) {
      const message = { key: `sensor-${i % 3}`, value: JSON.stringify({ reading: i }), headers: { unit: 'celsius' } }
      const [sent] = await producer.send({ topic: 'sensor_topic', acks: -1, messages: [message] })
      console.log(`sent partition=${sent.partition} offset=${sent.baseOffset} key=${message.key} value=${message.value}`)
    }
  } finally {
    await producer.disconnect()
  }
}

main().catch((failure) => {
  console.error(failure.message)
  process.exitCode = 1
})
