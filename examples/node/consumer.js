// Reads sensor_topic as a member of the group sensor-readers, until Ctrl-C.
const { Kafka } = require('kafkajs')

const kafka = new Kafka({
  clientId: 'sensor-reader',
  brokers: [process.env.BOOTSTRAP ?? '127.0.0.1:9092'],
})

async function main() {
  const consumer = kafka.consumer({ groupId: 'sensor-readers' })
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => consumer.disconnect())
  }
  await consumer.connect()
  await consumer.subscribe({ topic: 'sensor_topic', fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      console.log(
        `read partition=${partition} offset=${message.offset} timestamp=${message.timestamp} ` +
          `key=${message.key} unit=${message.headers.unit} value=${message.value}`,
      )
    },
  })
}

main().catch((failure) => {
  console.error(failure.message)
  process.exitCode = 1
})
