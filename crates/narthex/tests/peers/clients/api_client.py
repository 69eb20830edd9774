"""Asks a server what users of the package prometheus-api-client ask: api_client.py URL END_SECONDS. Prints JSON."""
import datetime, json, sys

from prometheus_api_client import PrometheusApiClientException, PrometheusConnect

url, end_s = sys.argv[1], int(sys.argv[2])
end = datetime.datetime.fromtimestamp(end_s)
start = end - datetime.timedelta(hours=1)
prom = PrometheusConnect(url=url, disable_ssl=True)
at = {"time": end_s}


def ordered(items):
    return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))


def refused(call):
    try:
        call()
    except PrometheusApiClientException as error:
        return str(error)


ranges = prom.get_metric_range_data("up", start_time=start, end_time=end, chunk_size=datetime.timedelta(minutes=20))
answers = {
    "connection": prom.check_prometheus_connection(),
    "all_metrics": prom.all_metrics(),
    "label_names": prom.get_label_names(),
    "label_values": prom.get_label_values("job", params={"match[]": "up"}),
    "series": ordered(prom.get_series(start, end, params={"match[]": ["up", "{job=~'f.*'}"]})),
    "current": ordered(prom.get_current_metric_value("up", params=at)),
    "current by labels": ordered(prom.get_current_metric_value("up", {"job": "fixture"}, params=at)),
    "range": ordered(ranges),
    "query": ordered(prom.custom_query("sum by (job) (up)", params=at)),
    "query_range": ordered(prom.custom_query_range("up", start, end, "5m")),
    "pools": prom.get_scrape_pools(),
    "targets": prom.get_targets(state="active"),
    "target_metadata": prom.get_target_metadata({"job": "none"}),
    "metadata": prom.get_metric_metadata("up"),
    "refused": refused(lambda: prom.custom_query("sum(")),
    "refused range": refused(lambda: prom.custom_query_range("up", start, end, "0")),
}
print(json.dumps(answers, sort_keys=True))
