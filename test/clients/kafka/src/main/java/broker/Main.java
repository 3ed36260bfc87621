package broker;

import java.io.IOException;
import kafka.Kafka;
import kafka.tools.StorageTool;

/**
 * Formats the directory that a properties file names and runs a broker on it, in one process. It ends when stdin does.
 *
 *   Main FILE CLUSTER-ID
 */
public final class Main {
    public static void main(String[] args) {
        int status = StorageTool.execute(new String[] {"format", "--ignore-formatted", "-t", args[1], "-c", args[0]}, System.err);
        if (status != 0)
            System.exit(status);
        Thread watch = new Thread(() -> {
            try {
                while (System.in.read() >= 0) { }
            } catch (IOException e) {
                // as if it had ended
            }
            Runtime.getRuntime().halt(0);
        });
        watch.setDaemon(true);
        watch.start();
        Kafka.main(new String[] {args[0]});
    }
}
