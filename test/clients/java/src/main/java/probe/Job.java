package probe;

import com.google.gson.JsonObject;
import java.util.List;
import java.util.Map;
import java.util.Properties;

/** One line of stdin. Fields that an op does not use are absent. */
final class Job {
    String op;
    String bootstrap;
    String topic;
    Map<String, String> config; // in the client's own words
    List<Message> records; // produce
    int expect; // consume: ends after as many records
    long since; // consume: starts at this time, 0 for the beginning
    String group;
    JsonObject args = new JsonObject(); // admin

    Properties properties() {
        var properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        if (config != null) {
            properties.putAll(config);
        }
        return properties;
    }
}
