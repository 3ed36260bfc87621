# Values that are refused, as many in one run as there are variables. That the refusals read well, another test sees to.

mock_provider "aws" {
  source = "./mocks"
}

run "network" {
  command = plan

  module {
    source = "../../../terraform/modules/network"
  }

  variables {
    name  = "Odradek"
    cidr  = "10.0.0.0/24"
    zones = ["eu-central-1a"]
    nat   = "two"
  }

  expect_failures = [var.name, var.cidr, var.zones, var.nat]
}

run "bucket" {
  command = plan

  module {
    source = "../../../terraform/modules/bucket"
  }

  variables {
    name                     = "with.dots"
    prefix                   = "ends/in/a/slash/"
    compactor_role_arns      = []
    admin_role_arns          = ["arn:aws:iam::123456789012:role/*"]
    kms_key_arn              = "arn:aws:kms:eu-central-1:123456789012:alias/odradek"
    abort_uploads_after_days = 0
  }

  expect_failures = [
    var.name, var.prefix, var.compactor_role_arns, var.admin_role_arns, var.kms_key_arn, var.abort_uploads_after_days,
  ]
}

run "redis" {
  command = plan

  module {
    source = "../../../terraform/modules/redis"
  }

  variables {
    name                     = "two--dashes"
    cluster                  = "{odradek}"
    vpc_id                   = "vpc-0123456789abcdef0"
    subnet_ids               = ["subnet-0123456789abcdef0"]
    agents_security_group_id = "sg-0123456789abcdef0"
    node_type                = "t4g.small"
    replicas                 = 0
  }

  expect_failures = [var.name, var.cluster, var.subnet_ids, var.node_type, var.replicas]
}

variables {
  vpc_id     = "vpc-0123456789abcdef0"
  image      = "example.org/odradek:1.0.0"
  subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
  bucket     = { arn = "arn:aws:s3:::example-odradek", url = "s3://example-odradek/?region=eu-central-1" }
  redis      = { url = "redis://redis.internal:6379" }
}

run "agents" {
  command = plan

  module {
    source = "../../../terraform/modules/agents"
  }

  variables {
    name                    = "1odradek"
    cluster                 = "with spaces"
    launch                  = "lambda"
    image                   = "example.org/odradek:latest"
    subnet_ids              = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef0"]
    client_cidr_blocks      = ["0.0.0.0/0"]
    metrics_cidr_blocks     = ["everywhere"]
    bucket                  = { arn = "arn:aws:s3:::example-odradek", url = "s3://key:secret@example-odradek" }
    redis                   = { url = "rediss://odradek:hunter2@redis.internal:6379" }
    agents                  = { min = 1 }
    cpu                     = 1000
    cpu_architecture        = "arm64"
    wal_size_mib            = 1
    ami_id                  = "newest"
    target_cpu_percent      = 100
    target_mib_in_per_agent = 0
    compactor               = { cpu = 1024, memory = 1024 }
    settings                = { roles = "broker,compactor" }
    log_retention_days      = 31
  }

  expect_failures = [
    var.name, var.cluster, var.launch, var.image, var.subnet_ids, var.client_cidr_blocks, var.metrics_cidr_blocks, var.bucket,
    var.redis, var.agents, var.cpu, var.cpu_architecture, var.wal_size_mib, var.ami_id,
    var.target_cpu_percent, var.target_mib_in_per_agent, var.compactor, var.settings, var.log_retention_days,
  ]
}

run "agents_otherwise" {
  command = plan

  module {
    source = "../../../terraform/modules/agents"
  }

  variables {
    name         = "odradek"
    image        = "example.org/odradek"
    redis        = { url = "embedded" }
    wal_size_mib = 20480
    memory       = 512
    settings     = { ODRADEK_FLUSH_SIZE = "1MiB" }
  }

  expect_failures = [var.image, var.redis, var.wal_volume, var.memory, var.settings]
}

run "agents_secret" {
  command = plan

  module {
    source = "../../../terraform/modules/agents"
  }

  variables {
    name       = "odradek"
    redis      = { url = "redis://redis.internal:6379", password_secret_arn = "hunter2" }
    wal_volume = { iops = 3000, throughput = 1000 }
  }

  expect_failures = [var.redis, var.wal_volume]
}
