package muster;

import jakarta.servlet.Filter;
import jakarta.servlet.FilterChain;
import jakarta.servlet.FilterConfig;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;

/** Refuses a request by a name that this machine is not known by: a web page's, by DNS rebinding. */
public class KnownHosts implements Filter {
    private List hosts;

    public void init(FilterConfig config) {
        hosts = Arrays.asList(config.getInitParameter("hosts").split(","));
    }

    public void doFilter(ServletRequest request, ServletResponse response, FilterChain chain)
            throws IOException, ServletException {
        if (hosts.contains(request.getServerName())) {
            chain.doFilter(request, response);
        } else {
            ((HttpServletResponse) response).sendError(403, "this page has no such name");
        }
    }

    public void destroy() {}
}
