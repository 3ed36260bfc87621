package examples;

import org.apache.kafka.clients.consumer.KafkaConsumer;

/** Lets Ctrl-C end a poll loop in good order. */
final class Shutdown {
    /** On Ctrl-C, the consumer's poll throws WakeupException; the process ends when main has returned. */
    static void wakes(KafkaConsumer<?, ?> consumer) {
        Thread main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try {
                main.join();
            } catch (InterruptedException ignored) {
                Thread.currentThread().interrupt();
            }
        }));
    }

    private Shutdown() {}
}
