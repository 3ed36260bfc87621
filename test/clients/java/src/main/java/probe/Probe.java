package probe;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;

/**
 * The Java client as the tests drive it: a job a line on stdin, as JSON; on stdout its results, a line each, and then a
 * line {"done":true} or {"done":true,"error":...}.
 */
public final class Probe {
    static final Gson GSON = new GsonBuilder().serializeNulls().disableHtmlEscaping().create();
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);

    public static void main(String[] args) throws Exception {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            var done = new JsonObject();
            done.addProperty("done", true);
            try {
                run(GSON.fromJson(line, Job.class));
            } catch (Exception failure) {
                done.addProperty("error", failure.toString());
            }
            emit(done);
        }
    }

    private static void run(Job job) throws Exception {
        switch (job.op) {
            case "produce" -> Producing.run(job);
            case "consume" -> Consuming.run(job);
            case "outOfRange" -> Consuming.outOfRange(job);
            case "group" -> GroupMember.run(job);
            case "transaction" -> Producing.begin(job);
            default -> Admins.run(job);
        }
    }

    /** Prints one result. Callbacks of several threads may print at a time. */
    static synchronized void emit(Object result) {
        OUT.println(GSON.toJson(result));
        OUT.flush();
    }

    private Probe() {}
}
