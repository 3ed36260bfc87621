# A pool of agents that grows and shrinks, and one small compactor (`odradek compact`) beside it. An agent finds out by itself where it
# stands: address and zone come from the metadata of its task or instance, its node id from the control log.

locals {
  kafka_port = 9092
  http_port  = 8080
  data_dir   = "/data"
  stop_after = 120 # seconds from SIGTERM to SIGKILL: an agent gives its partitions away meanwhile

  on_ec2 = var.launch == "ec2"

  # Which agents a line of metrics is of. Agents print these dimensions with --metrics-emf; a test compares them.
  metrics_namespace = "Odradek"
  dimensions = {
    for role in ["broker", "compactor"] : role => { Cluster = var.cluster, Role = role }
  }

  common = {
    ODRADEK_BUCKET      = var.bucket.url
    ODRADEK_REDIS       = var.redis.url
    ODRADEK_CLUSTER     = var.cluster
    ODRADEK_HTTP        = "0.0.0.0:${local.http_port}"
    ODRADEK_DATA_DIR    = local.data_dir
    ODRADEK_LOG_FORMAT  = "json"
    ODRADEK_METRICS_EMF = "true"
  }

  # A broker may take two fifths and 64 MiB more than it is told, and the system wants some as well.
  settings = {
    broker = merge(local.common, {
      ODRADEK_ROLES    = "broker"
      ODRADEK_LISTEN   = "0.0.0.0:${local.kafka_port}"
      ODRADEK_WAL_SIZE = "${var.wal_size_mib}MiB"
      }, local.on_ec2 ? {} : {
      ODRADEK_MEMORY = "${floor(var.memory * 0.6)}MiB"
    }, local.extra)

    compactor = merge(local.common, {
      ODRADEK_MEMORY = "${floor(var.compactor.memory * 0.8)}MiB" # what it keeps to
    }, local.extra)
  }

  extra = { for name, value in var.settings : "ODRADEK_${upper(replace(name, "-", "_"))}" => value }
}

data "aws_region" "current" {}
data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/odradek/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = var.tags
}
