#!/bin/sh
# Prints the secrets of a trial installation, random ones: overlays/dev/secrets.sh | kubectl apply -f -
# Once is enough. Running it again would lock the pods out of Valkey and S3 until they are restarted.
set -eu
random() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }
password=$(random)
cat <<END
apiVersion: v1
kind: Secret
metadata: {name: cityzones-redis, namespace: cityzones}
stringData:
  CITYZONES_BROKER_URL: redis://:$password@valkey:6379/0
  CITYZONES_LIVE_URL: redis://:$password@valkey:6379/1
---
apiVersion: v1
kind: Secret
metadata: {name: cityzones-redis-keda, namespace: cityzones}
stringData: {address: "valkey:6379", username: default, password: "$password"}
---
apiVersion: v1
kind: Secret
metadata: {name: cityzones-storage, namespace: cityzones}
stringData:
  CITYZONES_S3_ACCESS_KEY_ID: cityzones
  CITYZONES_S3_SECRET_ACCESS_KEY: "$(random)"
---
apiVersion: v1
kind: Secret
metadata: {name: cityzones-signing, namespace: cityzones}
stringData:
  CITYZONES_LINK_SECRET: "$(random)"
  CITYZONES_CALLBACK_SECRET: "$(random)"
---
apiVersion: v1
kind: Secret
metadata: {name: cityzones-metrics, namespace: cityzones}
stringData: {CITYZONES_METRICS_KEY: "$(random)"}
END
