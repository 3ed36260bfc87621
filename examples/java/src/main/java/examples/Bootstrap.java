package examples;

/** Where the broker is: the environment's BOOTSTRAP, or the address of `make run`. */
final class Bootstrap {
    static final String SERVERS = System.getenv().getOrDefault("BOOTSTRAP", "127.0.0.1:9092");

    private Bootstrap() {}
}
